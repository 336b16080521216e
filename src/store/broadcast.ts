import type { Redis } from 'ioredis'
import { encodeMessage, type Message } from '../domain/message.ts'
import { keepTalking } from './connection.ts'
import type { TownKeys } from './keys.ts'

/** Tells a message to everybody who listens now. Returns how many connections did; upstream's agents never do. */
export async function publishMessage(redis: Redis, town: TownKeys, message: Message): Promise<number> {
  return await redis.publish(town.broadcast, encodeMessage(message))
}

/** Hands over what is told to the town, and on the channel of Tinytown's guide, from now on. The connection can do nothing else then. */
export async function listen(redis: Redis, town: TownKeys, onRaw: (raw: string) => void): Promise<void> {
  redis.on('message', (_channel, raw) => onRaw(raw))
  keepTalking(redis)
  await redis.subscribe(town.broadcast, town.guideBroadcast)
}
