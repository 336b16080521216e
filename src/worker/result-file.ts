import { rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { formatSize } from '../base/size.ts'
import { messageOf } from '../domain/errors.ts'
import type { Outcome } from '../domain/outcome.ts'
import { cutResult, MAX_RESULT_BYTES } from '../domain/result.ts'
import type { Emit } from '../domain/worker-event.ts'
import { makeFolders } from './folder.ts'

interface Places {
  /** Where a result goes that is too long for the record. */
  readonly resultPath: string
  /** Where the output of the run is; undefined when it is nowhere. */
  readonly logPath: string | undefined
  readonly emit: Emit
}

/**
 * Makes the result of a run fit into its record. One that is too long is written to a file, whole, and cut in the record with a note
 * that names the file; of one whose beginning was never held in memory the note names the log file.
 */
export async function boundResult(outcome: Outcome, places: Places): Promise<Outcome> {
  if (outcome.kind !== 'completed') return outcome
  const { result, truncated, part = 'beginning' } = outcome
  const bytes = Buffer.byteLength(result)
  if (!truncated && bytes <= MAX_RESULT_BYTES) return outcome
  const note = truncated
    ? `this is the end of what was printed; ${inLog(places)}`
    : `this result has ${formatSize(bytes)}; ${await inFile(result, places)}`
  return { ...outcome, result: cutResult(result, part, note), truncated: true }
}

function inLog({ logPath }: Places): string {
  // Which may end early itself: at --output-limit, or on a full disk.
  return logPath ? `the log file is ${hostname()}:${logPath}` : 'the rest was not kept'
}

async function inFile(result: string, places: Places): Promise<string> {
  const { resultPath: path, emit } = places
  try {
    makeFolders(dirname(dirname(path)), dirname(path))
    // One of an earlier run would keep its mode, and a link would be written through.
    await rm(path, { force: true })
    await writeFile(path, result, { mode: 0o600, flag: 'wx' })
    return `all of it is in ${hostname()}:${path}`
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined)
    emit({ type: 'result-file-failed', path, detail: messageOf(error) })
    return inLog(places)
  }
}
