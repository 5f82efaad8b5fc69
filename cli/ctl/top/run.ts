/** `faithctl top`: looks at the daemon again and again, draws, and obeys keys until it is told to quit. */
import { Exit, ExitError } from '../../exit.js'
import { CommandLineError } from '../parse.js'
import { DONE, type Run, type Task } from '../task.js'
import { counted } from '../units.js'
import { EndedError, Looker } from './look.js'
import { begin, type Effect, learn, press, type State } from './state.js'
import { Terminal } from './terminal.js'
import { draw } from './view.js'

export const run: Run = async (task) => {
  const { given, command } = task
  const text = given.text('interval') ?? '2'
  const seconds = Number(text)
  if (!(seconds >= 0.1 && seconds <= 3600)) {
    throw new CommandLineError(`--interval: '${text}' is not a number of seconds from 0.1`, command)
  }
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new ExitError(
      Exit.usage,
      'top needs a terminal; faithctl sessions --json is for programs',
    )
  }
  const looker = new Looker(task.daemon)
  const view = given.has('clients') ? 'clients' : 'sessions'
  // A daemon that cannot be reached is an error before the terminal is taken over.
  const first = begin(view, 80, 24)
  const state = learn(first, await looker.look(first))
  return await new Top(task, looker, state, seconds * 1000).quit
}

class Top {
  /** Settles with the exit code. */
  readonly quit: Promise<number>
  readonly #task: Task
  readonly #looker: Looker
  readonly #intervalMs: number
  readonly #terminal: Terminal
  #state: State
  #timer: NodeJS.Timeout | undefined
  /** The error of the last look that failed. It is shown until a look succeeds. */
  #failure: string | undefined
  #isLooking = false
  #looksAgain = false
  #stop: (code: number) => void = () => {}
  #fail: (error: unknown) => void = () => {}

  constructor(task: Task, looker: Looker, state: State, intervalMs: number) {
    this.#task = task
    this.#looker = looker
    this.#state = state
    this.#intervalMs = intervalMs
    this.quit = new Promise<number>((resolve, reject) => {
      this.#stop = resolve
      this.#fail = reject
    }).finally(() => {
      clearTimeout(this.#timer)
      process.removeListener('uncaughtException', this.#fail)
      this.#terminal.close()
    })
    // A crash gives the terminal back before its text is printed.
    process.on('uncaughtException', this.#fail)
    this.#terminal = new Terminal({
      onKey: (key) => this.#press(key),
      onResize: () => this.#draw(),
    })
    this.#draw()
    this.#wait()
  }

  #press(key: string): void {
    const { state, effect } = press(this.#state, key)
    this.#state = state
    if (effect !== undefined) void this.#obey(effect).catch(this.#fail)
    this.#draw()
  }

  async #obey(effect: Effect): Promise<void> {
    switch (effect.do) {
      case 'quit':
        return this.#stop(DONE)
      case 'redraw':
        this.#terminal.forget()
        return this.#draw()
      case 'look':
        return await this.#look()
      case 'end':
        await this.#end(effect)
        return await this.#look()
    }
  }

  async #end({ id, client }: { id?: string; client?: string }): Promise<void> {
    const { daemon } = this.#task
    try {
      const { body } =
        id === undefined
          ? await daemon.delete<{ aborted: number }>('/v1/sessions', { client })
          : await daemon.delete<{ aborted: number }>(`/v1/sessions/${encodeURIComponent(id)}`)
      const whose = id === undefined ? `${counted(body.aborted, 'session')} of ${client}` : id
      this.#say(`ended ${whose}`)
    } catch (error) {
      this.#say(messageOf(error))
    }
  }

  /** Looks at the daemon. A look that is asked for while one is under way follows it. */
  async #look(): Promise<void> {
    if (this.#isLooking) {
      this.#looksAgain = true
      return
    }
    this.#isLooking = true
    clearTimeout(this.#timer)
    const asked = this.#state
    try {
      const known = await this.#looker.look(asked)
      const { view, id, client } = this.#state
      const isStale = view !== asked.view || id !== asked.id || client !== asked.client
      if (!isStale) this.#state = learn(this.#state, known)
      if (this.#state.message === this.#failure) this.#say(undefined)
    } catch (error) {
      if (error instanceof EndedError) this.#state = press(this.#state, 'escape').state
      this.#failure = messageOf(error)
      this.#say(this.#failure)
      this.#looksAgain ||= error instanceof EndedError
    } finally {
      this.#isLooking = false
    }
    this.#draw()
    if (this.#looksAgain) {
      this.#looksAgain = false
      await this.#look()
    } else this.#wait()
  }

  #wait(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#look().catch(this.#fail), this.#intervalMs)
  }

  #say(message: string | undefined): void {
    this.#state = { ...this.#state, message }
  }

  #draw(): void {
    // The terminal tells its size while it is being made.
    const size = (this.#terminal as Terminal | undefined)?.size
    if (size === undefined) return
    this.#state = { ...this.#state, ...size }
    this.#terminal.show(draw(this.#state))
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
