/** Changes that an administrator makes to the interface's device with ip(8), while connections go through it. */
import test from 'ava'
import { captured, waitFor, type Host } from '../../lab/index.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()

async function ip(host: Host, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await host.run('ip', ['-6', ...args])
  if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  return stdout
}

for (const shortcut of [true, false]) {
  const how = shortcut ? 'with the shortcut if there is one' : 'without shortcut'

  test.serial(`connections survive while the interface is down for a moment, ${how}`, async (t) => {
    await using faith = await router.create({ shortcut })
    await using listener = await faith.listen({ port: 80 })
    await using dialled = await client.dial(server, 80)
    await using accepted = await listener.accept()
    const refused = async () => (await faith.stats()).drops['backpressure'] ?? 0
    t.is(await refused(), 0)
    await ip(lab.router, 'link', 'set', 'faith0', 'down')
    await accepted.write('are you there?\n')
    await dialled.write('I am\n')
    if (!(await faith.stats()).shortcut) {
      await waitFor('the device to take no packet', async () => (await refused()) > 0)
    }
    await ip(lab.router, 'link', 'set', 'faith0', 'up')
    t.is(await dialled.line(), 'are you there?')
    t.is(await accepted.line(), 'I am')
  })

  test.serial(`a renamed interface captures as before, ${how}`, async (t) => {
    await using faith = await router.create({ shortcut })
    await using listener = await faith.listen({ port: 80 })
    await using dialled = await client.dial(server, 80)
    await using accepted = await listener.accept()
    // Sets the device down first, which Linux before 6.2 requires for a new name.
    await ip(lab.router, 'link', 'set', 'faith0', 'down')
    await ip(lab.router, 'link', 'set', 'faith0', 'name', 'caught0')
    await ip(lab.router, 'link', 'set', 'caught0', 'up')
    const routes = async () => await ip(lab.router, 'route', 'show', 'dev', 'caught0')
    await waitFor('the route', async () => (await routes()).startsWith('64:ff9b::/96 '))
    await dialled.write('still here\n')
    t.is(await accepted.line(), 'still here')
    await using another = await client.dial(server, 80)
    t.truthy(another)
    await faith.addPrefix('64:ff9b:1::/48')
    t.regex(await routes(), /^64:ff9b:1::\/48 /m)
    await faith.close()
    t.notRegex(await ip(lab.router, 'link', 'show'), /faith0|caught0|shortcut/)
  })

  test.serial(`an interface can be moved to another network namespace, ${how}`, async (t) => {
    await using faith = await router.create({ shortcut })
    await using listener = await faith.listen({ port: 80 })
    await using dialled = await client.dial(server, 80)
    await using accepted = await listener.accept()
    await ip(lab.router, 'link', 'set', 'faith0', 'netns', lab.client.namespace)
    await ip(lab.client, 'link', 'set', 'faith0', 'up')
    await ip(lab.client, 'route', 'add', '64:ff9b::/96', 'dev', 'faith0')
    await waitFor('the shortcut to be disabled', async () => !(await faith.stats()).shortcut)
    await dialled.write('here I am\n')
    t.is(await accepted.line(), 'here I am')
    await accepted.write('so you are\n')
    t.is(await dialled.line(), 'so you are')
    await using another = await client.dial(server, 80)
    await using second = await listener.accept()
    await another.write('and here\n')
    t.is(await second.line(), 'and here')
    await faith.close()
    t.notRegex(await ip(lab.client, 'link', 'show'), /faith0/)
    t.notRegex(await ip(lab.router, 'link', 'show'), /shortcut/)
  })
}
