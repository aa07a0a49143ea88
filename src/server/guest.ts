/**
 * Who may send to a server, and as whom (PROTOCOL 1.8–1.11): by an authorised key, by its token or password, by the key
 * of an earlier meeting, or because it is open to everybody.
 *
 * Decides on what the handshake proved. Knows no sockets, and no limits of addresses.
 */

import type { AuthorizedKey, AuthorizedKeys } from '../identity/authorized-keys.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { toHex } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { AdmitNeeds } from '../protocol/messages.ts'
import type { ConfirmedPeer } from '../transfer/admission.ts'

/** A sender whose session is confirmed. */
export interface Guest {
  /** Whose its transfers are: `key:SHA256:…` of an authorised key, else `resume:` and the id of its first meeting. */
  readonly owner: string
  /** One path component that stands for it in a folder by senders. */
  readonly label: string
  /** What its line in the list of authorised keys says; `null` where it came otherwise. */
  readonly key: AuthorizedKey | null
  /** Below the output folder; `null`: no folder of its own. */
  readonly folder: string | null
  /** 16 bytes: the key by which this sender comes back. */
  readonly resumeId: Uint8Array
}

export interface GuestListOptions {
  readonly ledger: Ledger
  /** Read anew for each session, so that a key that was taken off the list is out at once. */
  readonly authorizedKeys: () => AuthorizedKeys | null
  /** What those are asked for whose key is not on the list; `null`: they are not let in. */
  readonly others: AdmitNeeds | null
}

const KEY_OWNER = 'key:'
const RESUME_OWNER = 'resume:'

export class GuestList {
  readonly #options: GuestListOptions

  constructor(options: GuestListOptions) {
    this.#options = options
  }

  /**
   * What a peer is asked for besides its keys.
   * @throws SealiftError `auth_failed` where the key of an earlier meeting is not served any more, `peer_refused` where
   *   only authorised keys come in
   */
  async judge(peer: ConfirmedPeer): Promise<AdmitNeeds> {
    if (peer.suite === 'resume') {
      await this.#ownerOfEarlier(peer.resumeId)
      return 'nothing'
    }
    if (this.#find(peer) !== null) return 'nothing'
    const { others } = this.#options
    if (others === null) throw new SealiftError('peer_refused', 'the key of the sender is not authorised')
    return others
  }

  /** Who a peer is that was let in. @throws SealiftError as {@link GuestList.judge} */
  async identify(peer: ConfirmedPeer): Promise<Guest> {
    const { resumeId } = peer
    if (peer.suite === 'resume') return this.#guest(await this.#ownerOfEarlier(resumeId), resumeId)
    const key = this.#find(peer)
    return this.#guest(key === null ? RESUME_OWNER + toHex(resumeId) : KEY_OWNER + key.fingerprint, resumeId)
  }

  #find({ peerStaticKey }: ConfirmedPeer): AuthorizedKey | null {
    return this.#options.authorizedKeys()?.find(peerStaticKey) ?? null
  }

  #guest(owner: string, resumeId: Uint8Array): Guest {
    const key = this.#keyOf(owner)
    const label = key?.name ?? owner.slice(owner.lastIndexOf(':') + 1, owner.lastIndexOf(':') + 1 + LABEL_CHARACTERS)
    return { owner, key, resumeId, folder: key?.folder ?? null, label: asComponent(label) }
  }

  #keyOf(owner: string): AuthorizedKey | null {
    if (!owner.startsWith(KEY_OWNER)) return null
    return this.#options.authorizedKeys()?.findByFingerprint(owner.slice(KEY_OWNER.length)) ?? null
  }

  /** Whose transfer the key of an earlier meeting is for. Whoever has it must still be let in today. */
  async #ownerOfEarlier(resumeId: Uint8Array): Promise<string> {
    const { ledger, others } = this.#options
    const row = await ledger.resumeKeys.findById(resumeId, 'receiver')
    row?.resumeKey.fill(0)
    const transfer = row?.transfer == null ? null : await ledger.transfers.get(row.transfer)
    const owner = transfer?.userId ?? null
    const mayCome = owner !== null && (owner.startsWith(KEY_OWNER) ? this.#keyOf(owner) !== null : others !== null)
    if (!mayCome) throw new SealiftError('auth_failed', 'the key of an earlier meeting is not served any more')
    return owner
  }
}

/** Enough of a fingerprint or an id to tell senders apart. */
const LABEL_CHARACTERS = 16

function asComponent(label: string): string {
  return label.replace(/[^\p{L}\p{N}@._-]+/gu, '-').replace(/^[.-]+/, '') || 'sender'
}
