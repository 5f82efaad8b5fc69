/**
 * systemd-networkd runs on the router by what `faithd pref64` prints for it, and the client hears the prefixes. A version
 * without the option complains of that option alone.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { pref64 } from '../../cli/pref64/command.js'
import { createLab } from '../../lab/index.js'
import { Advertisements } from '../fixtures/advertisements.js'

const networkd = '/lib/systemd/systemd-networkd'
/** The first version that has the option. */
const since = 255
const before = `[Match]
Name=lan0

[Network]
IPv6SendRA=yes
IPv6AcceptRA=no
KeepConfiguration=yes

`

/** Runs it in a mount namespace of its own: as root, because the lab may have no other user, and without udev. */
const script = [
  'set -e',
  'mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/systemd',
  'mount -t sysfs -o ro sysfs /sys',
  'mount --bind passwd /etc/passwd',
  'mount -t tmpfs -o mode=755 tmpfs /etc/systemd && mkdir /etc/systemd/network',
  'cp lan0.network /etc/systemd/network',
  `exec ${networkd}`,
].join('\n')

test('systemd-networkd reads what is printed for it', async (t) => {
  const lab = await createLab()
  t.teardown(() => lab.close())
  const text = await pref64(['--for', 'networkd', '-P', '64:ff9b::/96', '-P', '2001:db8:64::/48'])
  const file = before + text
  writeFileSync(join(lab.directory, 'lan0.network'), file)
  const users = ['root', 'systemd-network'].map((name) => `${name}:x:0:0::/:/bin/sh\n`)
  writeFileSync(join(lab.directory, 'passwd'), users.join(''))

  const heard = await Advertisements.on(lab.client, 'eth0')
  const options = ['-m', '--propagation', 'private', 'sh', '-c', script]
  const running = lab.router.spawn('unshare', options, { cwd: lab.directory })
  const { stdout } = await lab.router.run(networkd, ['--version'])
  const version = Number(/^systemd (\d+)/.exec(stdout)?.[1])

  const { prefixes, routerLifetime } = await heard.next(() => true)
  t.is(routerLifetime, 1800, running.output)
  const complaints = running.lines.filter((line) => line.includes('lan0.network:'))
  if (version >= since) {
    t.deepEqual(complaints, [])
    t.deepEqual(
      prefixes.toSorted((one, other) => one.prefix.localeCompare(other.prefix)),
      [
        { prefix: '2001:db8:64::/48', lifetime: 1800 },
        { prefix: '64:ff9b::/96', lifetime: 1800 },
      ],
    )
  } else {
    t.deepEqual(prefixes, [])
    const sections = file
      .split('\n')
      .flatMap((line, at) => (line === '[IPv6PREF64Prefix]' ? [at + 1] : []))
    t.deepEqual(
      complaints,
      sections.map(
        (at) =>
          `/etc/systemd/network/lan0.network:${at}: Unknown section 'IPv6PREF64Prefix'. Ignoring.`,
      ),
    )
  }
})
