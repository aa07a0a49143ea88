/** What `sendFiles` and `receiveFiles` may be told. Every field has a default; durations are in milliseconds, sizes in bytes. */

import type { CompressSetting, ConflictPolicy } from '../protocol/choices.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import type { ExcludedEvent } from '../transfer/events.ts'
import type { StageProbe } from '../transfer/stage.ts'
import type { OfferListing } from './offer-listing.ts'
import type { StopSignal } from './stop-signal.ts'

/** What both sides may be told. */
export interface TransferOptions {
  /** Stops the transfer; a reason that is a `SealiftError` becomes the error of `done`, any other its cause. */
  readonly signal?: StopSignal | undefined
  /** File of the ledger; default `DB_PATH`, else in the user's data folder. */
  readonly ledgerPath?: string | undefined
  /** Bytes a second on the wire, at most. */
  readonly bytesPerSecond?: number | undefined
  /**
   * Over how many connections the content goes at once, 1 to 16; default 1. More move more where the path is long and its
   * windows are small. Where a receiver dials, the larger number of both sides counts.
   */
  readonly streams?: number | undefined
  /** What the other side is told about this one; default the name of this machine. */
  readonly name?: string | undefined
  /** Whether to say what became of each file; default true. A tree of many files is done sooner without. */
  readonly fileEvents?: boolean | undefined
  /** @internal For tests: called at the named stages. */
  readonly probe?: StageProbe | undefined
}

/** An address of this machine on the local network, and the interface that has it. */
export interface LanAddress {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string
  /** Its name, as the system has it. */
  readonly interfaceName: string
}

/** How a receiving server is met; of use with {@link SendOptions.to} only. */
export interface ServerOptions {
  /** The server's token, where it asks for one. */
  readonly token?: string | undefined
  /** The server's password, where it asks for one. */
  readonly password?: string | undefined
  /** Asked for what the server wants and was not given above. Default: nobody is asked, and `done` rejects. */
  readonly askSecret?: ((what: 'token' | 'password', signal: StopSignal) => Promise<string>) | undefined
  /**
   * Path of this side's private key. Default: `sealift.key` of {@link ServerOptions.configFolder}, as `sealift keygen` makes
   * it; where there is none, or nobody has its password, `device.key` there, which is made at the first meeting.
   */
  readonly identity?: string | undefined
  /** Asked where the key is sealed. */
  readonly identityPassword?: (() => Promise<string | undefined>) | undefined
  /** Fingerprint of the server's key, `SHA256:…`. Default: the one remembered, or whichever it has at the first meeting. */
  readonly serverKey?: string | undefined
  /** Folder of keys and known servers; default the user's own, `~/.config/sealift` on Linux. */
  readonly configFolder?: string | undefined
  /** The server is met by TLS 1.3, and known by its certificate: a CA vouches for it, and for the name that is dialled. */
  readonly tls?: boolean | undefined
  /** With `tls`: path of the certificates of the CAs that may vouch for the server, PEM. Default: those that Node trusts. */
  readonly ca?: string | undefined
  /** With `tls`: path of this side's certificate, PEM, for servers that know their senders by one; needs `key`. */
  readonly cert?: string | undefined
  /** With `tls`: path of the private key of `cert`, PEM. */
  readonly key?: string | undefined
  /**
   * With `tls`: the name that the certificate must have; default the host of `to`. Where a certificate has no alternative
   * names, its common name is compared with this one, and only with this one.
   */
  readonly serverName?: string | undefined
}

/** What `sendFiles` may be told. `pod`, `lan` or `listen` say where it listens; else that is this machine's Tailscale address. */
export interface SendOptions extends TransferOptions, ServerOptions {
  /** Send to a receiving server, `HOST[:PORT]`, instead of listening; its port is 9000 by default. */
  readonly to?: string | undefined
  /** Listen on 127.0.0.1. */
  readonly pod?: boolean | undefined
  /** Listen on the address of the local network. */
  readonly lan?: boolean | undefined
  /** Listen on this address. With none of the three: on this machine's Tailscale address. */
  readonly listen?: string | undefined
  /** On the tailnet, let in only machines of these logins (and of {@link SendOptions.allowTags}). */
  readonly allowUsers?: readonly string[] | undefined
  /** On the tailnet, let in only machines with one of these tags (and of {@link SendOptions.allowUsers}). */
  readonly allowTags?: readonly string[] | undefined
  /**
   * Asked where no place was named and Tailscale cannot be used: whether to listen on the local network, where only the token
   * guards. Default: no. `reason` is a sentence without its full stop.
   */
  readonly listenOnLan?:
    ((lan: LanAddress, reason: string, signal: StopSignal) => boolean | Promise<boolean>) | undefined
  /** Default 15820; 0 takes any free port. */
  readonly port?: number | undefined
  /** How long to wait for a receiver; default 5 minutes, at most 24 days (2³¹ - 1). */
  readonly waitMs?: number | undefined
  /** Patterns in the syntax of gitignore. */
  readonly exclude?: readonly string[] | undefined
  /** Texts of files with such patterns. */
  readonly excludeFrom?: readonly string[] | undefined
  /** Leave nothing out by default rules. */
  readonly all?: boolean | undefined
  /** Keep links that stay inside; default true. */
  readonly links?: boolean | undefined
  /** What the receiver is asked to do with what is in the way; it decides. */
  readonly conflict?: ConflictPolicy | undefined
  /** Default `none`. */
  readonly compress?: CompressSetting | undefined
  /** Level of the codec; alone it means `zstd`. */
  readonly compressionLevel?: number | undefined
  /** 0 (last) … 9 (first): a server that is busy lets the first in first, and gives them more of its bandwidth. */
  readonly priority?: number | undefined
  /** Patterns in the syntax of gitignore: what matches is sent in front of all else, in the order of the patterns. */
  readonly first?: readonly string[] | undefined
  /**
   * Asked where environments or caches are found and `all` is not set: whether to leave them out. Default: yes. A no is
   * the same as `all`.
   */
  readonly leaveOut?: ((found: readonly ExcludedEvent[], signal: StopSignal) => boolean | Promise<boolean>) | undefined
  /** @internal Id of the transfer that is gone on with, where these files are still what it sends. */
  readonly resumes?: string | undefined
  /** @internal Told of each file that failed: its path in the manifest, and why. */
  readonly onFailed?: ((path: string, code: ErrorCode | null) => void) | undefined
  /** Asked where neither `compress` nor `compressionLevel` is set. Default: `none`. */
  readonly chooseCompression?: ((signal: StopSignal) => CompressSetting | Promise<CompressSetting>) | undefined
}

/** What `sendStream` and `sendText` may be told: what concerns a tree of files is of no use there. */
export interface StreamSendOptions extends Omit<
  SendOptions,
  'exclude' | 'excludeFrom' | 'all' | 'links' | 'first' | 'leaveOut' | 'chooseCompression'
> {
  /** What the receiver saves it as: one name, without folders; default `stdin`. */
  readonly fileName?: string | undefined
}

/** What a receiver is offered. */
export interface IncomingOffer extends OfferListing {
  /** UUID of the transfer. */
  readonly transferId: string
  /** Who sends, as they say themselves; not proved. */
  readonly from: string
  /** Who Tailscale says they are, as `alpha (ana@example.com)`; `null` where it does not know them. */
  readonly identity: string | null
  /** Address they are at. */
  readonly peer: string
  /** How many files. */
  readonly files: number
  /** Their content; `null` while unknown. */
  readonly bytes: number | null
  /** Files to save; one file for the `output` that was given; or a text, which is saved nowhere and comes as an event. */
  readonly kind: 'files' | 'output' | 'text'
  /** Where they would be saved, absolute; empty where they would not. */
  readonly outputDir: string
  /** Where each root would be saved, under the policy of now. */
  readonly savedAs: readonly string[]
  /** Room there; `null` where the system does not say. */
  readonly freeBytes: number | null
}

/** The answer to an offer: no, yes, or yes with another policy for what is in the way. */
export type OfferAnswer = boolean | ConflictPolicy

/** What `receiveFiles` may be told. */
export interface ReceiveOptions extends TransferOptions {
  /** Where roots are saved; default the current folder; made where it is missing. */
  readonly outputDir?: string | undefined
  /**
   * Takes the content of the one file that is sent, in order, instead of a folder; each piece is its own, and the next
   * one waits for its promise. Only what it took counts as received. What it throws ends the transfer on both sides.
   */
  readonly output?: ((bytes: Uint8Array) => void | Promise<void>) | undefined
  /**
   * Whether `output` is done with the bytes when it returns or its promise resolves. Their memory is used again then;
   * default false.
   */
  readonly outputBorrows?: boolean | undefined
  /** The token, where the address does not hold it. */
  readonly token?: string | undefined
  /** What to do with what is in the way; default `auto`. */
  readonly conflict?: ConflictPolicy | undefined
  /** Asked once a transfer; default: accept. The signal is aborted when no answer is wanted any more. */
  readonly accept?: ((offer: IncomingOffer, signal: StopSignal) => OfferAnswer | Promise<OfferAnswer>) | undefined
  /** Rename or refuse what other systems cannot hold. */
  readonly portableNames?: boolean | undefined
}
