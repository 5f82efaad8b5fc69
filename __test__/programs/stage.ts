/** The usual stage of a spec: a lab with a program in its router and one in its client. */
import test from 'ava'
import { createLab, type LabOptions } from '../../lab/index.js'
import { Program } from './program.js'

/**
 * A lab with a program in its router, where keepfaith is on, and one in its client. The lab ends with the spec. No
 * connection outlives its test, because its retransmissions would reach the next test's interface.
 */
export async function stage(options: LabOptions = {}) {
  const lab = await createLab(options)
  const [router, client] = await Promise.all([Program.start(lab.router), Program.start(lab.client)])
  await router.keepfaith(true)
  // ava accepts no more tests once the first hook or test is declared and the event loop turns.
  test.after.always(() => lab.close())
  test.afterEach.always(async () => {
    await Promise.all([client.ask('dropAll'), router.ask('dropAll')])
  })
  return { lab, router, client }
}
