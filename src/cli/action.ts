import { nearest } from '../base/text.ts'
import { WorkerError } from '../domain/errors.ts'

/** The action that a word of the command line names. Throws `usage` that names the one that was probably meant. */
export function chooseAction<T>(actions: Readonly<Record<string, T>>, word: string): T {
  const action = Object.hasOwn(actions, word) ? actions[word] : undefined
  if (action !== undefined) return action
  const names = Object.keys(actions)
  const meant = nearest(word, names)
  const guess = meant ? `. Did you mean ${meant}?` : ''
  const list = names.join(', ').replace(/, ([^,]*)$/, ' or $1')
  throw new WorkerError('usage', `Expected ${list}, got ${JSON.stringify(word)}${guess}`)
}
