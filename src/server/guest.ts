/**
 * Who may send to a server, and as whom (PROTOCOL 1.8–1.11): by an authorised key, by a certificate, by its token or
 * password, by the key of an earlier meeting, or because it is open to everybody.
 *
 * Decides on what the handshake proved. Knows no sockets, and no limits of addresses.
 */

import type { AuthorizedKey, AuthorizedKeys } from '../identity/authorized-keys.ts'
import { fingerprintOf } from '../identity/public-key.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { AdmitNeeds } from '../protocol/messages.ts'
import type { ConfirmedPeer } from '../transfer/admission.ts'

/** A sender whose session is confirmed. */
export interface Guest {
  /** Whose its transfers are: the fingerprint of the key that it first came with, `SHA256:…`. */
  readonly owner: string
  /** One path component that stands for it in a folder by senders. */
  readonly label: string
  /** What its line in the list of authorised keys says; `null` where it is not on it. */
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
  /** Whether certificates are asked for: one that a CA vouches for lets in. */
  readonly takesCertificates: boolean
}

export class GuestList {
  readonly #options: GuestListOptions

  constructor(options: GuestListOptions) {
    this.#options = options
  }

  /**
   * What a peer is asked for besides its keys.
   * @throws SealiftError `auth_failed` where the key of an earlier meeting is not served any more, `peer_refused` where
   *   only authorised keys come in, `certificate_refused` where its certificate is none, or another one is needed
   */
  async judge(peer: ConfirmedPeer): Promise<AdmitNeeds> {
    const fault = peer.certificate?.fault ?? null
    if (fault !== null)
      throw new SealiftError('certificate_refused', `the certificate of the sender is not accepted: ${fault}`)
    if (peer.suite === 'resume') {
      await this.#ownerOfEarlier(peer)
      return 'nothing'
    }
    if (peer.certificate !== null || this.#find(peer.peerStaticKey) !== null) return 'nothing'
    const { others, takesCertificates } = this.#options
    if (others === null && takesCertificates)
      throw new SealiftError('certificate_refused', 'the sender shows no certificate, and its key is not authorised')
    if (others === null) throw new SealiftError('peer_refused', 'the key of the sender is not authorised')
    return others
  }

  /** Who a peer is that was let in. @throws SealiftError as {@link GuestList.judge} */
  async identify(peer: ConfirmedPeer): Promise<Guest> {
    const { resumeId } = peer
    const owner = GuestList.ownerOf(peer) ?? (await this.#ownerOfEarlier(peer))
    const key = this.#options.authorizedKeys()?.findByFingerprint(owner) ?? null
    const label = key?.name ?? owner.slice(owner.indexOf(':') + 1).slice(0, LABEL_CHARACTERS)
    return { owner, key, resumeId, folder: key?.folder ?? null, label: asComponent(label) }
  }

  /** Whose fingerprint its transfers are by; `null` under `resume`, where the ledger knows. */
  static ownerOf({ peerStaticKey, certificate }: Pick<ConfirmedPeer, 'peerStaticKey' | 'certificate'>): string | null {
    return peerStaticKey === null ? null : (certificate?.fingerprint ?? fingerprintOf(peerStaticKey))
  }

  /** By what a peer is let in that came with its key or certificate: remembered beside the key for coming back. */
  wayIn({ peerStaticKey, certificate }: Pick<ConfirmedPeer, 'peerStaticKey' | 'certificate'>): 'key' | 'other' {
    return certificate === null && this.#find(peerStaticKey) === null ? 'other' : 'key'
  }

  #find(peerStaticKey: Uint8Array | null): AuthorizedKey | null {
    return this.#options.authorizedKeys()?.find(peerStaticKey) ?? null
  }

  /** Whose transfer the key of an earlier meeting is for. By what it was let in then, it must be let in today. */
  async #ownerOfEarlier({ resumeId, certificate }: ConfirmedPeer): Promise<string> {
    const { ledger, others, authorizedKeys } = this.#options
    const row = await ledger.resumeKeys.findById(resumeId, 'receiver')
    row?.resumeKey.fill(0)
    const transfer = row === null || row.transfer === null ? null : await ledger.transfers.get(row.transfer)
    const owner = transfer?.userId ?? null
    const isAuthorized = (): boolean =>
      certificate?.fingerprint === owner || (authorizedKeys()?.findByFingerprint(owner ?? '') ?? null) !== null
    const mayCome = row?.wayIn === 'key' ? isAuthorized() : others !== null
    if (owner === null || !mayCome)
      throw new SealiftError('auth_failed', 'the key of an earlier meeting is not served any more')
    return owner
  }
}

/** Enough of a fingerprint or an id to tell senders apart. */
const LABEL_CHARACTERS = 16

function asComponent(label: string): string {
  return label.replace(/[^\p{L}\p{N}@._-]+/gu, '-').replace(/^[.-]+/, '') || 'sender'
}
