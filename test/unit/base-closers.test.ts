import { describe, expect, it } from 'vitest'
import { Closers } from '../../src/base/closers.ts'
import { deferred } from '../../src/base/deferred.ts'
import { unreachable } from '../../src/base/unreachable.ts'

describe('Closers', () => {
  it('runs the last one first, each after the one before it is done', async () => {
    const closers = new Closers()
    const order: string[] = []
    const gate = deferred()
    closers.add(() => order.push('first'))
    closers.add(async () => {
      await gate.promise
      order.push('second')
    })
    const closing = closers.close()
    expect(order).toEqual([])
    gate.resolve()
    await closing
    expect(order).toEqual(['second', 'first'])
  })

  it('runs all of them although some fail, and throws the first failure', async () => {
    const closers = new Closers()
    const order: number[] = []
    for (const number of [1, 2, 3, 4]) {
      closers.add(() => {
        order.push(number)
        if (number === 2) throw new Error('second broke')
        return number === 3 ? Promise.reject(new Error('third broke')) : undefined
      })
    }
    await expect(closers.close()).rejects.toThrow('third broke')
    expect(order).toEqual([4, 3, 2, 1])
  })

  it('runs each of them once, however often it is closed', async () => {
    const closers = new Closers()
    let count = 0
    closers.add(() => {
      count += 1
    })
    await Promise.all([closers.close(), closers.close()])
    await closers.close()
    expect(count).toBe(1)
  })

  it('takes new ones after it was closed', async () => {
    const closers = new Closers()
    await closers.close()
    let closed = false
    closers.add(() => {
      closed = true
    })
    await closers.close()
    expect(closed).toBe(true)
  })
})

describe('deferred', () => {
  it('is settled by the first who settles it', async () => {
    const value = deferred<number>()
    value.resolve(1)
    value.resolve(2)
    value.reject(new Error('too late'))
    expect(await value.promise).toBe(1)
  })
})

describe('unreachable', () => {
  it('names the value that was not expected', () => {
    expect(() => unreachable({ kind: 'new' } as never)).toThrow('{"kind":"new"}')
  })
})
