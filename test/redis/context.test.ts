import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadContext } from '../../src/cli/context.ts'
import { openTown } from '../../src/client/open-town.ts'
import type { WorkerError } from '../../src/domain/errors.ts'
import type { ConnectionEvent } from '../../src/store/connection.ts'
import { useTown } from '../rig/redis.ts'
import { until } from '../rig/until.ts'

const here = useTown()
let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tw-context-'))
})

afterAll(() => rm(root, { recursive: true, force: true }))

describe('the connections of a town', () => {
  it('are told as lost and back once, however many there are', async () => {
    const events: ConnectionEvent['type'][] = []
    const town = await openTown(loadContext({ town: root }, { REDIS_URL: here.url }), {
      purpose: 'test',
      lasting: true,
      onConnection: ({ type }) => void events.push(type),
    })
    try {
      const second = await town.connect('second')
      const ids = await Promise.all([town.redis, second].map((redis) => redis.client('ID')))
      for (const id of ids) await here.redis.client('KILL', 'ID', id)
      await until(() => events.includes('redis-back'), 'the town is back')
      await until(async () => (await second.ping()) === 'PONG', 'the second connection is back')
      expect(events).toEqual(['redis-lost', 'redis-back'])
    } finally {
      await town.close()
    }
  })
})

describe('a refused login', () => {
  it('is told with the remedy that fits how the address was given', async () => {
    await here.redis.config('SET', 'requirepass', 'secret')
    try {
      const context = loadContext({ town: root }, { REDIS_URL: here.url, TINYTOWN_REDIS_PASSWORD: 'secret' })
      const refusal = await openTown(context, { purpose: 'test', lasting: false }).catch((error) => error)
      expect((refusal as WorkerError).code).toBe('redis-auth')
      expect((refusal as WorkerError).remedy).toBe(
        'Put user and password into the URL: REDIS_URL=redis://:PASSWORD@host:port',
      )
      expect((refusal as WorkerError).remedy).not.toContain('TINYTOWN_REDIS_PASSWORD')
    } finally {
      await here.redis.config('SET', 'requirepass', '')
    }
  })
})
