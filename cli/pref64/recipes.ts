/** Writes the configuration by which a daemon that sends router advertisements has the PREF64 option in them. */
import { ExitError, Exit } from '../exit.js'
import { optionBytes, type Pref64 } from './prefix.js'

/** The prefixes to advertise, and the facts that some daemons need beside them. */
export interface Advertised {
  prefixes: readonly Pref64[]
  /** In seconds, a multiple of 8. */
  lifetime: number
  /** True if the operator gave the lifetime. */
  hasOwnLifetime: boolean
  /** The interface that the clients are at. */
  link: string
}

/** A daemon: its comment, without the marks, and its lines. */
interface Recipe {
  comment: readonly string[]
  lines(advertised: Advertised): readonly string[]
}

const RECIPES = {
  radvd: {
    comment: [
      'radvd 2.20 or later. Put this into the block of the interface in /etc/radvd.conf.',
      'The lifetime must not be less than MaxRtrAdvInterval, which is 600 s by default.',
    ],
    lines: ({ prefixes, lifetime }) =>
      prefixes.flatMap(({ text }) => [
        `nat64prefix ${text}`,
        '{',
        `\tAdvValidLifetime ${lifetime};`,
        '};',
      ]),
  },
  networkd: {
    comment: [
      'systemd-networkd 255 or later. Put this into the .network file of the interface, which has',
      'IPv6SendRA=yes in its section [Network].',
    ],
    lines: ({ prefixes, lifetime }) =>
      prefixes.flatMap(({ text }, at) => [
        ...(at === 0 ? [] : ['']),
        '[IPv6PREF64Prefix]',
        `Prefix=${text}`,
        `LifetimeSec=${lifetime}`,
      ]),
  },
  bird: {
    comment: [
      'BIRD 2.14 or later. Put this into the block of the interface, or of the protocol radv, in',
      'bird.conf. Option 38 is PREF64: lifetime and length in 16 bits, then 96 bits of the prefix.',
    ],
    lines: ({ prefixes, lifetime }) =>
      prefixes.map((prefix) => {
        const bytes = optionBytes(prefix, lifetime)
        const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')
        return `custom option type 38 value hex:${hex}; # ${prefix.text}`
      }),
  },
  odhcpd: {
    comment: [
      'odhcpd of OpenWrt 23.05 or later. Run these commands; the name behind "dhcp." is that of the',
      "interface in /etc/config/dhcp. odhcpd derives the lifetime from the advertisements' own.",
    ],
    lines: ({ prefixes, hasOwnLifetime, link }) => {
      const [first, second] = prefixes
      if (second !== undefined) {
        throw new ExitError(
          Exit.usage,
          `odhcpd advertises one prefix, and there are ${prefixes.length}; choose it with -P`,
        )
      }
      if (hasOwnLifetime) {
        throw new ExitError(Exit.usage, '--lifetime: odhcpd has no setting for it; leave it out')
      }
      return [
        `uci set dhcp.${link}.ra_pref64='${first?.text}'`,
        'uci commit dhcp',
        'service odhcpd restart',
      ]
    },
  },
  vyos: {
    comment: [
      'VyOS 1.4 or later. Enter these commands in configuration mode, then commit and save.',
      "The lifetime must not be less than the interface's interval max, which is 600 s by default.",
    ],
    lines: ({ prefixes, lifetime, link }) =>
      prefixes.map(
        ({ text }) =>
          `set service router-advert interface ${link} nat64prefix ${text} valid-lifetime ${lifetime}`,
      ),
  },
} satisfies Record<string, Recipe>

/** The name of a daemon, as `--for` takes it. */
export type Advertiser = keyof typeof RECIPES

export const ADVERTISERS = Object.keys(RECIPES) as Advertiser[]

/** The interface that the text names where the operator names none. */
export function usualLink(advertiser: Advertiser): string {
  return advertiser === 'odhcpd' ? 'lan' : 'eth1'
}

/** Concerns hosts that get an IPv4 address, too. They send everything to the prefix, so the hint tells what that needs. */
const IPV6_MOSTLY = [
  'Hosts with a CLAT (RFC 6877) then reach IPv4 addresses by this prefix: their TCP, UDP and ping,',
  'unless a service or --protocols says less. So option 108 of DHCPv4 (RFC 8925) has such',
  'hosts do without an IPv4 address; in dnsmasq: dhcp-option=108,0:0:7:8 (1800 s).',
]

/**
 * Gives the text for a daemon: a comment and the configuration.
 *
 * @throws ExitError for a wish that the daemon has no setting for
 */
export function recipeText(advertiser: Advertiser, advertised: Advertised): string {
  const { comment, lines }: Recipe = RECIPES[advertiser]
  const comments = [...comment, ...IPV6_MOSTLY].map((line) => `# ${line}`)
  return [...comments, ...lines(advertised), ''].join('\n')
}
