import type { Command } from '../command.ts'
import { assign } from './assign.ts'
import { backlog } from './backlog.ts'
import { bootstrap } from './bootstrap.ts'
import { cancel } from './cancel.ts'
import { clis } from './clis.ts'
import { close } from './close.ts'
import { deadLetters } from './dead-letters.ts'
import { demo } from './demo.ts'
import { doctor } from './doctor.ts'
import { events } from './events.ts'
import { health } from './health.ts'
import { inbox } from './inbox.ts'
import { init } from './init.ts'
import { interrupt } from './interrupt.ts'
import { kill } from './kill.ts'
import { list } from './list.ts'
import { logs } from './logs.ts'
import { redis } from './redis.ts'
import { resume } from './resume.ts'
import { run } from './run.ts'
import { send } from './send.ts'
import { service } from './service.ts'
import { status } from './status.ts'
import { task } from './task.ts'
import { tasks } from './tasks.ts'
import { wait } from './wait.ts'

/** Every command, in the order of `--help`. */
export const commands: readonly Command[] = [
  run,
  init,
  assign,
  send,
  inbox,
  wait,
  logs,
  events,
  list,
  status,
  tasks,
  task,
  cancel,
  backlog,
  deadLetters,
  interrupt,
  resume,
  close,
  kill,
  clis,
  doctor,
  health,
  redis,
  service,
  bootstrap,
  demo,
]
