/**
 * Who may send to a server, and as whom (PROTOCOL 1.8–1.11): by an authorised key, by its token or password, by the key
 * of an earlier meeting, or because it is open to everybody.
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
}

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
    if (this.#find(peer.peerStaticKey) !== null) return 'nothing'
    const { others } = this.#options
    if (others === null) throw new SealiftError('peer_refused', 'the key of the sender is not authorised')
    return others
  }

  /** Who a peer is that was let in. @throws SealiftError as {@link GuestList.judge} */
  async identify(peer: ConfirmedPeer): Promise<Guest> {
    const { resumeId, peerStaticKey } = peer
    const owner = peerStaticKey === null ? await this.#ownerOfEarlier(resumeId) : fingerprintOf(peerStaticKey)
    const key = this.#options.authorizedKeys()?.findByFingerprint(owner) ?? null
    const label = key?.name ?? owner.slice(owner.indexOf(':') + 1).slice(0, LABEL_CHARACTERS)
    return { owner, key, resumeId, folder: key?.folder ?? null, label: asComponent(label) }
  }

  /** By what a peer is let in that came with its key: remembered beside the key for coming back. */
  wayIn(peerStaticKey: Uint8Array | null): 'key' | 'other' {
    return this.#find(peerStaticKey) === null ? 'other' : 'key'
  }

  #find(peerStaticKey: Uint8Array | null): AuthorizedKey | null {
    return this.#options.authorizedKeys()?.find(peerStaticKey) ?? null
  }

  /** Whose transfer the key of an earlier meeting is for. By what it was let in then, it must be let in today. */
  async #ownerOfEarlier(resumeId: Uint8Array): Promise<string> {
    const { ledger, others, authorizedKeys } = this.#options
    const row = await ledger.resumeKeys.findById(resumeId, 'receiver')
    row?.resumeKey.fill(0)
    const transfer = row === null || row.transfer === null ? null : await ledger.transfers.get(row.transfer)
    const owner = transfer?.userId ?? null
    const mayCome =
      row?.wayIn === 'key' ? (authorizedKeys()?.findByFingerprint(owner ?? '') ?? null) !== null : others !== null
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
