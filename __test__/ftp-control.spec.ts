/** The translation of FTP's control connection, rule by rule of RFC 6384. */
import test from 'ava'
import { Control } from '../cli/gateways/ftp/control.js'
import { LONGEST_LINE } from '../cli/gateways/ftp/lines.js'
import { MOST_WAITING, type Step } from '../cli/gateways/ftp/translator.js'

const ends = { client: '2001:db8:1::2', destination: '64:ff9b::198.51.100.2' }

/** A step in the form of the tables below: `S: line` to the server, `C: line` to the client. */
function shown(step: Step): string {
  if ('to' in step) {
    const text = step.bytes.toString('latin1').replace(/\r\n$/, '')
    const urgent = 'urgent' in step ? ` (urgent ${step.urgent})` : ''
    return `${step.to === 'server' ? 'S' : 'C'}: ${text}${urgent}`
  }
  if ('expect' in step) return `expect ${step.expect}`
  if ('listen' in step) return `listen for [${step.listen.address}]:${step.listen.port}`
  return Object.keys(step).join()
}

/**
 * Plays a dialogue: `client` and `server` are lines that come, `listening` and `not listening` the gateway's answers.
 * Gives the steps.
 */
function play(dialogue: readonly (readonly [who: string, what?: string])[]): string[] {
  const control = new Control(ends)
  return dialogue.flatMap(([who, what = '']) => {
    const bytes = Buffer.from(`${what}\r\n`, 'latin1')
    if (who === 'client') return control.fromClient(bytes).map(shown)
    if (who === 'server') return control.fromServer(bytes).map(shown)
    const steps =
      who === 'listening' ? control.listening('192.0.2.7', 5001) : control.notListening()
    return steps.map(shown)
  })
}

type Dialogue = readonly (readonly [who: string, what?: string])[]
const greeting = ['server', '220 ready'] as const

const rules: Record<string, [dialogue: Dialogue, steps: string[]]> = {
  'EPSV becomes PASV, and 227 becomes 229 whatever its address is (section 6)': [
    [
      ['client', 'EPSV'],
      ['server', '227 Entering Passive Mode (10,0,0,9,19,137).'],
    ],
    ['S: PASV', 'expect 5001', 'C: 229 Entering Extended Passive Mode (|||5001|)'],
  ],
  'EPSV 2 becomes PASV': [
    [
      ['client', 'epsv 2 '],
      ['server', '227 ok 198,51,100,2,4,1'],
    ],
    ['S: PASV', 'expect 1025', 'C: 229 Entering Extended Passive Mode (|||1025|)'],
  ],
  'a port in the middle of a long reply 227 is found': [
    [
      ['client', 'EPSV'],
      ['server', '227-Entering'],
      ['server', ' (1,2,3,4,10,0)'],
      ['server', '227 done'],
    ],
    ['S: PASV', 'expect 2560', 'C: 229 Entering Extended Passive Mode (|||2560|)'],
  ],
  'a reply 227 without a port becomes 425': [
    [
      ['client', 'EPSV'],
      ['server', '227 =1,2,3,4,256,0'],
    ],
    ['S: PASV', 'C: 425 The server named no port'],
  ],
  'port 0 in a reply 227 becomes 425': [
    [
      ['client', 'EPSV'],
      ['server', '227 (1,2,3,4,0,0)'],
    ],
    ['S: PASV', 'C: 425 The server named no port'],
  ],
  'an error for PASV passes, and the next EPSV is translated again': [
    [
      ['client', 'EPSV'],
      ['server', '530 Please login'],
      ['client', 'EPSV'],
      ['server', '227 (192,0,2,7,1,2)'],
    ],
    [
      'S: PASV',
      'C: 530 Please login',
      'S: PASV',
      'expect 258',
      'C: 229 Entering Extended Passive Mode (|||258|)',
    ],
  ],
  'EPSV with another protocol is answered by 522, and NOOP goes in its place (sections 6, 12)': [
    [
      ['client', 'EPSV 1'],
      ['server', '200 NOOP ok'],
    ],
    ['S: NOOP', 'C: 522 Network protocol not supported, use (2)'],
  ],
  'EPSV ALL is answered by 504': [
    [
      ['client', 'EPSV ALL'],
      ['server', '500-what'],
      ['server', '500 unknown'],
    ],
    ['S: NOOP', 'C: 504 EPSV ALL is not possible behind this router'],
  ],
  'own answers keep the order of commands that came ahead': [
    [
      ['client', 'SYST'],
      ['client', 'EPSV 3'],
      ['client', 'PWD'],
      ['server', '215 UNIX'],
      ['server', '200 ok'],
      ['server', '257 "/"'],
    ],
    [
      'S: SYST',
      'S: NOOP',
      'S: PWD',
      'C: 215 UNIX',
      'C: 522 Network protocol not supported, use (2)',
      'C: 257 "/"',
    ],
  ],
  'EPRT with the address of the client becomes PORT (section 7)': [
    [['client', 'EPRT |2|2001:db8:1:0:0::2|6000|'], ['listening'], ['server', '200 PORT ok']],
    ['listen for [2001:db8:1::2]:6000', 'S: PORT 192,0,2,7,19,137', 'C: 200 PORT ok'],
  ],
  'EPRT may have another delimiter': [
    [['client', 'EPRT !2!2001:db8:1::2!6000!']],
    ['listen for [2001:db8:1::2]:6000'],
  ],
  'a server that refuses PORT gets no listener': [
    [['client', 'EPRT |2|2001:db8:1::2|6000|'], ['listening'], ['server', '500 no']],
    ['listen for [2001:db8:1::2]:6000', 'S: PORT 192,0,2,7,19,137', 'C: 500 no', 'unlisten'],
  ],
  'EPRT without a listener is answered by 425': [
    [['client', 'EPRT |2|2001:db8:1::2|6000|'], ['not listening'], ['server', '200 NOOP ok']],
    ['listen for [2001:db8:1::2]:6000', 'S: NOOP', 'C: 425 Cannot prepare a data connection'],
  ],
  'commands behind EPRT wait for the listener': [
    [['client', 'EPRT |2|2001:db8:1::2|6000|'], ['client', 'LIST'], ['listening']],
    ['listen for [2001:db8:1::2]:6000', 'S: PORT 192,0,2,7,19,137', 'S: LIST'],
  ],
  'EPRT with another address, family or port passes unchanged': [
    [
      ['client', 'EPRT |2|2001:db8:1::3|6000|'],
      ['client', 'EPRT |1|192.0.2.1|6000|'],
      ['client', 'EPRT |2|2001:db8:1::2|0|'],
      ['client', 'EPRT |2|2001:db8:1::2%1|6000|'],
      ['client', 'EPRT'],
    ],
    [
      'S: EPRT |2|2001:db8:1::3|6000|',
      'S: EPRT |1|192.0.2.1|6000|',
      'S: EPRT |2|2001:db8:1::2|0|',
      'S: EPRT |2|2001:db8:1::2%1|6000|',
      'S: EPRT',
    ],
  ],
  'LPSV becomes PASV, and 227 becomes 228 with the address that was dialled (RFC 1639)': [
    [
      ['client', 'LPSV'],
      ['server', '227 (1,2,3,4,19,137)'],
    ],
    [
      'S: PASV',
      'expect 5001',
      'C: 228 Entering Long Passive Mode (6,16,0,100,255,155,0,0,0,0,0,0,0,0,198,51,100,2,2,19,137)',
    ],
  ],
  'LPRT with the address of the client becomes PORT': [
    [['client', 'LPRT 6,16,32,1,13,184,0,1,0,0,0,0,0,0,0,0,0,2,2,23,112'], ['listening']],
    ['listen for [2001:db8:1::2]:6000', 'S: PORT 192,0,2,7,19,137'],
  ],
  'LPRT with another address passes': [
    [
      ['client', 'LPRT 6,16,32,1,13,184,0,1,0,0,0,0,0,0,0,0,0,3,2,23,112'],
      ['client', 'LPRT 4,4,192,0,2,1,2,23,112'],
    ],
    ['S: LPRT 6,16,32,1,13,184,0,1,0,0,0,0,0,0,0,0,0,3,2,23,112', 'S: LPRT 4,4,192,0,2,1,2,23,112'],
  ],
  'PASV and PORT pass with their replies (section 10)': [
    [
      ['client', 'PASV'],
      ['server', '227 (1,2,3,4,19,137)'],
      ['client', 'PORT 192,0,2,1,4,4'],
      ['server', '200 ok'],
    ],
    ['S: PASV', 'C: 227 (1,2,3,4,19,137)', 'S: PORT 192,0,2,1,4,4', 'C: 200 ok'],
  ],
  'unknown commands, LANG and empty lines pass': [
    [
      ['client', 'XYZZY 1 2'],
      ['client', 'LANG fr'],
      ['client', ''],
      ['client', 'MODE S'],
    ],
    ['S: XYZZY 1 2', 'S: LANG fr', 'S: ', 'S: MODE S'],
  ],
  'after AUTH all passes unchanged (section 5)': [
    [
      ['client', 'AUTH TLS'],
      ['server', '234 go'],
      ['client', 'EPSV'],
      ['server', '227 (1,2,3,4,5,6)'],
    ],
    ['S: AUTH TLS', 'C: 234 go', 'transparent', 'S: EPSV', 'C: 227 (1,2,3,4,5,6)'],
  ],
  'bytes behind AUTH wait for its reply, and pass unchanged if it is accepted': [
    [
      ['client', 'AUTH TLS'],
      ['client', 'EPSV'],
      ['server', '234 go'],
    ],
    ['S: AUTH TLS', 'C: 234 go', 'transparent', 'S: EPSV'],
  ],
  'a refused AUTH changes nothing': [
    [
      ['client', 'AUTH TLS'],
      ['client', 'EPSV'],
      ['server', '530-Please'],
      ['server', '530 login'],
      ['server', '227 (1,2,3,4,5,6)'],
    ],
    [
      'S: AUTH TLS',
      'C: 530-Please',
      'C: 530 login',
      'S: PASV',
      'expect 1286',
      'C: 229 Entering Extended Passive Mode (|||1286|)',
    ],
  ],
  'ALGS tells the state, and switches the translation off and on (section 11)': [
    [
      ['client', 'ALGS STATUS64'],
      ['server', '200 ok'],
      ['client', 'algs disable64'],
      ['server', '200 ok'],
      ['client', 'EPSV'],
      ['server', '229 (|||5|)'],
      ['client', 'EPRT |2|2001:db8:1::2|6000|'],
      ['server', '500 no'],
      ['client', 'ALGS ENABLE64'],
      ['server', '200 ok'],
      ['client', 'EPSV'],
      ['client', 'ALGS NONSENSE'],
    ],
    [
      'S: NOOP',
      'C: 216 EPSVEPRT',
      'S: NOOP',
      'C: 216 NONE',
      'S: EPSV',
      'C: 229 (|||5|)',
      'S: EPRT |2|2001:db8:1::2|6000|',
      'C: 500 no',
      'S: NOOP',
      'C: 216 EPSVEPRT',
      'S: PASV',
      'S: NOOP',
    ],
  ],
  'preliminary replies and 421 belong to no command': [
    [
      ['client', 'RETR file'],
      ['client', 'EPSV 9'],
      ['server', '150 opening'],
      ['server', '421 going down'],
      ['server', '226 done'],
      ['server', '200 ok'],
    ],
    [
      'S: RETR file',
      'S: NOOP',
      'C: 150 opening',
      'C: 421 going down',
      'C: 226 done',
      'C: 522 Network protocol not supported, use (2)',
    ],
  ],
  'a reply 227 finds its command behind one that the server never answered': [
    [
      ['client', 'ABOR'],
      ['client', 'EPSV'],
      ['server', '227 (1,2,3,4,19,137)'],
    ],
    [
      'S: \xff\xf4\xff\xf2ABOR (urgent 2)',
      'S: PASV',
      'expect 5001',
      'C: 229 Entering Extended Passive Mode (|||5001|)',
    ],
  ],
  'a line of a reply that looks like another reply is text': [
    [
      ['client', 'STAT'],
      ['client', 'EPSV'],
      ['server', '211-Status'],
      ['server', '227 (9,9,9,9,9,9)'],
      ['server', '211 End'],
      ['server', '227 (1,2,3,4,19,137)'],
    ],
    [
      'S: STAT',
      'S: PASV',
      'C: 211-Status',
      'C: 227 (9,9,9,9,9,9)',
      'C: 211 End',
      'expect 5001',
      'C: 229 Entering Extended Passive Mode (|||5001|)',
    ],
  ],
  'a line that is no command is answered, too': [
    [
      ['client', '!!'],
      ['client', 'EPSV'],
      ['server', '500 what?'],
      ['server', '227 (1,2,3,4,19,137)'],
    ],
    [
      'S: !!',
      'S: PASV',
      'C: 500 what?',
      'expect 5001',
      'C: 229 Entering Extended Passive Mode (|||5001|)',
    ],
  ],
  'ABOR with an interrupt of telnet is urgent': [
    [['client', '\xff\xf4\xff\xf2ABOR']],
    ['S: \xff\xf4\xff\xf2ABOR (urgent 2)'],
  ],
  'ABOR without an interrupt of telnet gets one (RFC 959)': [
    [['client', 'abor']],
    ['S: \xff\xf4\xff\xf2abor (urgent 2)'],
  ],
  'a command behind an interrupt of telnet is translated': [
    [['client', '\xff\xf4\xff\xf2EPSV']],
    ['S: PASV'],
  ],
  'options of telnet are refused to their sender, and do not pass (section 5)': [
    [
      ['client', '\xff\xfd\x06\xff\xfb\x01NOOP'],
      ['server', '\xff\xfd\x18\xff\xfc\x01200 ok'],
    ],
    ['C: \xff\xfc\x06\xff\xfe\x01', 'S: NOOP', 'S: \xff\xfc\x18', 'C: 200 ok'],
  ],
}

for (const [rule, [dialogue, steps]] of Object.entries(rules)) {
  test(rule, (t) => {
    t.deepEqual(play([greeting, ...dialogue]), ['C: 220 ready', ...steps])
  })
}

test('a line that is too long passes in pieces, and is no command', (t) => {
  const control = new Control(ends)
  const long = Buffer.concat([Buffer.from('EPSV '), Buffer.alloc(2 * LONGEST_LINE, 'x')])
  const passed = [long, Buffer.from('\r\nEPSV\r\n')].flatMap((bytes) => control.fromClient(bytes))
  t.deepEqual(
    passed.map((step) => 'to' in step && step.bytes.length),
    [long.length, 2, 'PASV\r\n'.length],
  )
})

test('a line that is too long is answered once, when it ends', (t) => {
  const control = new Control(ends)
  control.fromServer(Buffer.from('220 ready\r\n'))
  for (let piece = 0; piece < 3; piece += 1) {
    control.fromClient(Buffer.alloc(LONGEST_LINE + 1, 'x'))
  }
  control.fromClient(Buffer.from('\r\nEPSV\r\n'))
  const replies = control.fromServer(Buffer.from('500 too long\r\n227 (1,2,3,4,19,137)\r\n'))
  t.deepEqual(replies.map(shown), [
    'C: 500 too long',
    'expect 5001',
    'C: 229 Entering Extended Passive Mode (|||5001|)',
  ])
})

test('a client far ahead of its server waits, and each command gets its own reply', (t) => {
  const control = new Control(ends)
  control.fromServer(Buffer.from('220 ready\r\n'))
  const count = 3 * MOST_WAITING
  let asked = control.fromClient(Buffer.from('EPSV 1\r\nSTAT\r\n'.repeat(count / 2)))
  t.is(asked.length, MOST_WAITING)
  t.true(control.isHeld)
  const replies: string[] = []
  while (asked.length > 0) {
    const answers = asked.map((step) => (shown(step) === 'S: NOOP' ? '200 ok\r\n' : '211 fine\r\n'))
    const steps = control.fromServer(Buffer.from(answers.join('')))
    replies.push(...steps.map(shown).filter((step) => step.startsWith('C: ')))
    asked = steps.filter((step) => 'to' in step && step.to === 'server')
  }
  t.false(control.isHeld)
  const pair = ['C: 522 Network protocol not supported, use (2)', 'C: 211 fine']
  t.deepEqual(replies, Array.from({ length: count / 2 }, () => pair).flat())
})

test('an unfinished line passes at the end', (t) => {
  const control = new Control(ends)
  t.deepEqual(control.fromClient(Buffer.from('QUI')), [])
  t.deepEqual(control.clientEnded().map(shown), ['S: QUI'])
  t.deepEqual(control.serverEnded(), [])
})
