/**
 * Every command and option of faithctl in one table. The parser, `--help`, the completions of the shells and the manual
 * page are made from it.
 */
import type { Command } from './command.js'
import {
  CLIENT_ORDERS,
  filters,
  json,
  LEVELS,
  limit,
  onInterface,
  PROTOCOLS,
  reverse,
  SESSION_ORDERS,
  SHELLS,
  watch,
  yes,
} from './command-options.js'

export const COMMANDS = [
  {
    name: 'status',
    group: 'Look',
    help: 'version, uptime, interfaces, sessions, and what is wrong',
    about: [
      'Shows the state of the daemon and of its interfaces: sessions, refusals, counters of packets. ' +
        'Lines that begin with "problem" name each fault and its remedy.',
    ],
    arguments: [],
    options: [json, watch],
    examples: [
      ['status', 'show the state of the daemon'],
      ['status --watch', 'show it every 2 seconds'],
      ['--instance lab status', 'show the daemon that listens on /run/faithd/lab.sock'],
    ],
  },
  {
    name: 'sessions',
    group: 'Look',
    help: 'the sessions that are active',
    about: [
      'Lists active sessions. Options choose them; a session must fit them all. The last line says how ' +
        'many sessions fit, where --limit cuts the list.',
      'UP is from the client to the server, DOWN from the server to the client. STATE is open, ' +
        'client-closed or server-closed (faithd has passed on the FIN of that side), or ending (one side is gone, and ' +
        'the other still gets its bytes).',
      '--follow prints sessions as they end, one line each, until Ctrl-C. It goes with --interface, ' +
        '--client, --destination, --port, --protocol and --tag.',
    ],
    arguments: [],
    options: [
      ...filters,
      {
        long: 'sort',
        short: 's',
        value: 'ORDER',
        help: SESSION_ORDERS.join(', '),
        fallback: 'age',
        completes: SESSION_ORDERS,
      },
      reverse,
      limit('100'),
      { long: 'follow', short: 'f', help: 'print sessions as they end' },
      json,
      watch,
    ],
    examples: [
      ['sessions --sort bytes --limit 10', 'show the ten sessions that moved most bytes'],
      ['sessions --client 2001:db8:1::/48 --port 443', 'show the HTTPS sessions of one network'],
      ['sessions --idle 10m', 'show sessions without a byte for ten minutes'],
      ['sessions --json | jq .matching', 'count the sessions in a script'],
    ],
  },
  {
    name: 'session',
    group: 'Look',
    help: 'one session: both connections side by side, and the side that is slow',
    about: [
      "Shows what the kernel's TCP_INFO says of the connection to the client and of that to the server. " +
        'A sentence names the slower side and the reason. The rule that permits the session, its name by DNS64 ' +
        'and its tag are shown too.',
    ],
    arguments: [{ name: 'ID', help: 'number of the session: 1-42', completes: 'session' }],
    options: [json, watch],
    examples: [
      ['session 1-42', 'show session 1-42'],
      ['session 1-42 --watch 1', 'show it every second'],
    ],
  },
  {
    name: 'top',
    group: 'Look',
    help: 'live view of sessions and clients, by rate',
    about: [
      'Shows the busiest sessions and clients, with rates over the last interval. Keys choose the order, ' +
        'open a client or a session, and end a session after a question. The key ? lists them.',
      'NO_COLOR in the environment turns colours off.',
    ],
    arguments: [],
    options: [
      {
        long: 'interval',
        value: 'SECONDS',
        help: 'time between two looks at the daemon',
        fallback: '2',
      },
      { long: 'clients', help: 'begin with clients' },
    ],
    examples: [
      ['top', 'watch the busiest sessions'],
      ['top --clients --interval 5', 'watch the busiest clients'],
    ],
  },
  {
    name: 'clients',
    group: 'Look',
    help: 'clients by network: sessions, rates, bytes',
    about: [
      'Sums the active sessions of each client. A client is a /64, or a prefix of --prefix-length bits. ' +
        'Rates come from two looks at the daemon, one second apart.',
    ],
    arguments: [],
    options: [
      {
        long: 'prefix-length',
        short: 'l',
        value: 'BITS',
        help: 'length of the prefix that counts as one client',
        fallback: '64',
      },
      {
        long: 'sort',
        short: 's',
        value: 'ORDER',
        help: CLIENT_ORDERS.join(', '),
        fallback: 'rate',
        completes: CLIENT_ORDERS,
      },
      reverse,
      limit('100'),
      json,
      watch,
    ],
    examples: [
      ['clients', 'show the clients, the busiest first'],
      ['clients --sort sessions --prefix-length 48', 'show the /48s with most sessions'],
    ],
  },
  {
    name: 'drops',
    group: 'Look',
    help: 'packets that were dropped, and the meaning of each reason',
    about: ['Counts dropped packets of each interface by reason, since the interface was made.'],
    arguments: [],
    options: [json, watch],
    examples: [['drops --watch', 'see which counter grows']],
  },
  {
    name: 'events',
    group: 'Look',
    help: 'sessions as they end, and connections as they are refused',
    about: [
      'Prints a line for each session that ends and each connection that is refused, until Ctrl-C. With ' +
        '--json each line is an object. A reader that is too slow is told how many events it missed.',
    ],
    arguments: [],
    options: [{ ...json, help: 'print each event as a JSON object' }],
    examples: [
      ['events', 'watch sessions and refusals'],
      ['events --json | jq \'select(.type == "refused")\'', 'watch refusals in a script'],
    ],
  },
  {
    name: 'abort',
    group: 'Change',
    help: 'end sessions',
    about: [
      'Ends sessions by reset, by their numbers or by the options that choose them. On a terminal it asks ' +
        'before it ends more than one; without a terminal that needs --yes.',
    ],
    arguments: [
      {
        name: 'ID',
        help: 'number of a session: 1-42',
        optional: true,
        repeats: true,
        completes: 'session',
      },
    ],
    options: [...filters, yes, json],
    examples: [
      ['abort 1-42', 'end session 1-42'],
      ['abort --client 2001:db8:1::7', 'end every session of a client'],
      ['abort --destination 198.51.100.0/24 --idle 1h --yes', 'end idle sessions to a network'],
    ],
  },
  {
    name: 'keepfaith',
    group: 'Change',
    help: 'show keepfaith, or turn capturing on or off',
    about: [
      'Without an argument it shows the switch. 0 stops capturing of every interface, and sessions go on; ' +
        '1 captures again. A reload sets it as the configuration says.',
    ],
    arguments: [
      {
        name: '0|1',
        help: '0 stops capturing, 1 captures',
        optional: true,
        completes: ['0', '1'],
      },
    ],
    options: [json],
    examples: [
      ['keepfaith', 'show the switch'],
      ['keepfaith 0', 'capture nothing for now: sessions stall'],
    ],
  },
  {
    name: 'interface list',
    group: 'Change',
    help: 'faith interfaces with their prefixes and relays',
    about: ['Lists the faith interfaces, those of the configuration and those made by faithctl.'],
    arguments: [],
    options: [json, watch],
    examples: [['interface list', 'list the interfaces']],
  },
  {
    name: 'interface create',
    group: 'Change',
    help: 'make a faith interface that relays',
    about: [
      'Makes an interface, routes its prefixes to it and relays their connections. It lives until it is ' +
        'destroyed or the daemon ends; to keep it, write it into the configuration file.',
    ],
    arguments: [{ name: 'NAME', help: 'name of the interface, 1 to 15 characters' }],
    options: [
      {
        long: 'prefix',
        short: 'P',
        value: 'PREFIX',
        repeats: true,
        help: 'IPv6 prefix to capture; may be repeated',
      },
      {
        long: 'ports',
        value: 'PORTS',
        help: 'ports to relay: names, ports, ranges, with commas; or all',
        fallback: 'all',
      },
      json,
    ],
    examples: [
      ['interface create faith1 --prefix 2001:db8:64::/96', 'relay every port of a prefix'],
      ['interface create faith1 -P 2001:db8:64::/96 --ports ssh,8000-8999', 'relay some ports'],
    ],
  },
  {
    name: 'interface destroy',
    group: 'Change',
    help: 'remove a faith interface that faithctl made, and end its sessions',
    about: [
      'Removes an interface and its routes. Its sessions end. On a terminal it asks first if there are ' +
        'any; without a terminal that needs --yes.',
    ],
    arguments: [{ name: 'NAME', help: 'name of the interface', completes: 'interface' }],
    options: [yes, json],
    examples: [['interface destroy faith1', 'remove faith1']],
  },
  {
    name: 'prefix list',
    group: 'Change',
    help: 'prefixes that are captured',
    about: ['Lists the prefixes of every interface.'],
    arguments: [],
    options: [{ ...onInterface, help: 'prefixes of this interface only' }, json],
    examples: [['prefix list', 'list the prefixes']],
  },
  {
    name: 'prefix add',
    group: 'Change',
    help: 'capture a further prefix',
    about: [
      'Adds a prefix to an interface and routes it there, until it is deleted or the next reload. To keep ' +
        'it, write it into the configuration file.',
    ],
    arguments: [{ name: 'PREFIX', help: 'IPv6 prefix: 2001:db8:64::/96' }],
    options: [onInterface, json],
    examples: [
      ['prefix add 2001:db8:64::/96', 'add a prefix to the only interface'],
      ['prefix add 2001:db8:64::/96 -i faith1', 'add it to faith1'],
    ],
  },
  {
    name: 'prefix delete',
    group: 'Change',
    help: 'stop capturing a prefix',
    about: [
      'Takes a prefix and its route from an interface. Clients that dialled it get no further answers.',
    ],
    arguments: [{ name: 'PREFIX', help: 'IPv6 prefix of the interface', completes: 'prefix' }],
    options: [onInterface, json],
    examples: [['prefix delete 2001:db8:64::/96', 'stop capturing a prefix']],
  },
  {
    name: 'acl show',
    group: 'Access',
    help: 'rules in force, in the order of their trial',
    about: [
      'Shows the access list of each relay, with the file and line of each rule, and the fate of ' +
        'connections that no rule names.',
    ],
    arguments: [],
    options: [{ ...onInterface, help: 'rules of this interface only' }, json],
    examples: [['acl show', 'show the rules']],
  },
  {
    name: 'acl test',
    group: 'Access',
    help: 'rule that decides on a connection, and the reason',
    about: [
      'Asks the daemon if it would permit a connection, without making one. The destination is the IPv6 ' +
        'address that the client dials, or the IPv4 address of the server. Without a port it is port 443. ' +
        'With --protocol udp the answer is about datagrams, with icmp about pings. ' +
        'Exit code 1 means that the connection would be denied.',
    ],
    arguments: [
      { name: 'CLIENT', help: 'IPv6 address of the client', completes: 'client' },
      {
        name: 'DESTINATION[:PORT]',
        help: '[64:ff9b::198.51.100.7]:443, 198.51.100.7:443, or an address alone',
      },
    ],
    options: [
      {
        long: 'protocol',
        value: 'PROTOCOL',
        help: `${PROTOCOLS.join(', ')}; without it, tcp`,
        completes: PROTOCOLS,
      },
      json,
    ],
    examples: [
      ['acl test 2001:db8:1::7 198.51.100.7:443', 'ask about an IPv4 server'],
      ["acl test 2001:db8:1::7 '[64:ff9b::198.51.100.7]:443'", 'ask about a dialled address'],
    ],
  },
  {
    name: 'reload',
    group: 'Daemon',
    help: 'read the configuration file and the access lists again',
    about: [
      'Does what SIGHUP does, and prints each change, or every error. A file with an error changes ' +
        'nothing.',
    ],
    arguments: [],
    options: [json],
    examples: [['reload', 'apply the changed file']],
  },
  {
    name: 'log-level',
    group: 'Daemon',
    help: 'show or set the least important lines of the log',
    about: ['A level that is set here lasts until the next reload.'],
    arguments: [{ name: 'LEVEL', help: LEVELS.join(', '), optional: true, completes: LEVELS }],
    options: [json],
    examples: [
      ['log-level debug', 'log everything'],
      ['log-level info', 'go back to the usual'],
    ],
  },
  {
    name: 'completion',
    group: 'Help',
    help: 'print the completions of a shell',
    about: [
      'Prints a script for the shell. It completes commands, options, and the sessions, interfaces and ' +
        'clients that the daemon has now.',
    ],
    arguments: [
      { name: 'SHELL', help: SHELLS.join(', '), completes: SHELLS },
      {
        name: 'COMMAND',
        help: 'faithctl or faithd [faithctl]',
        optional: true,
        completes: ['faithctl', 'faithd'],
      },
    ],
    options: [],
    examples: [
      ['completion bash > /etc/bash_completion.d/faithctl', 'install it for bash'],
      [
        "completion zsh > '/usr/local/share/zsh/site-functions/_faithctl'",
        'install it for zsh; the file must have that name',
      ],
      ['completion fish > ~/.config/fish/completions/faithctl.fish', 'install it for fish'],
    ],
  },
  {
    name: 'help',
    group: 'Help',
    help: 'explain a command, with examples',
    about: ['Prints the help of a command, as --help behind the command does.'],
    arguments: [
      { name: 'COMMAND', help: 'a command', optional: true, repeats: true, completes: 'command' },
    ],
    options: [],
    examples: [['help interface create', 'explain interface create']],
  },
] as const satisfies readonly Command[]

/** The name of a command. */
export type CommandName = (typeof COMMANDS)[number]['name']

/** The exit codes of faithctl, after sysexits(3). */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'done'],
  [1, 'acl test: the connection would be denied; a question was answered with no'],
  [64, 'usage: an unknown command or option, a malformed value'],
  [69, 'the daemon does not run or does not answer, or has no such session or interface'],
  [70, 'a bug in faithctl or faithd'],
  [77, 'not permitted to use the control socket, or the daemon lacks a capability'],
  [78, 'configuration: the file has an error, or the interface or prefix exists'],
]
