import { expect, it } from 'vitest'
import { listDeadLetters } from '../../src/store/dead-letters.ts'
import { start } from '../../src/store/scripts/start.ts'
import { useClosers } from '../rig/daemon.ts'
import { runOf, useFaultyTown } from '../rig/faulty-town.ts'
import { assign, ended } from '../rig/scene.ts'

const newTown = useFaultyTown(useClosers())

const WORKER = ['--cli', 'fake', '--kill-grace', '200ms']
const DEATHS = 5

it.each(['before its start', 'in its run'])(
  '22: a message with which the daemon dies each time, %s, goes to the dead letters, and the next one runs',
  async (when) => {
    const { town, agents, proxy, behindProxy, server, startBehindProxy } = await newTown()
    const first = await behindProxy(...WORKER)
    const held = proxy.hold(runOf(start))
    const poison = await assign(town, 'poison')
    const next = await assign(town, 'next')
    let [daemon, arrived] = [first, held]
    for (let death = 1; death <= DEATHS; death += 1) {
      await arrived.arrived
      if (when === 'in its run') {
        arrived.release()
        await agents.next()
      }
      daemon.signal('SIGKILL')
      await daemon.exit
      if (death === DEATHS) break
      arrived = proxy.hold(runOf(start))
      daemon = startBehindProxy(...WORKER)
    }
    await town.worker(...WORKER)
    const run = await agents.next()
    expect(run.hello.prompt).toBe('next')
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, next)).toMatchObject({ state: 'completed', attempts: 1 })
    expect(await ended(town, poison)).toMatchObject({
      state: 'failed',
      reason: 'crashed',
      result: '5 workers died with it in hand',
    })
    expect(await listDeadLetters(server.redis, town.keys)).toMatchObject([
      { reason: 'crashed', taskId: poison, message: expect.stringContaining(poison) },
    ])
    expect(agents.started).toBe(when === 'in its run' ? DEATHS + 1 : 1)
  },
)
