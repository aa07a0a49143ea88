/**
 * How Tailscale's addresses look. Others look the same (carriers use 100.64.0.0/10 too), so this is good for advice and for
 * refusing, never for letting anybody in.
 */

/** @param host an address, or a name */
export function looksLikeTailscale(host: string): boolean {
  return /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|^fd7a:115c:a1e0:|\.ts\.net\.?$/i.test(host)
}
