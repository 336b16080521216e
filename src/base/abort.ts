/** Settles as `promise` does, or rejects with the signal's reason when it aborts first. What the promise does then is let go. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

// What a signal follows lives as long as it does.
const followed = new WeakMap<AbortSignal, readonly AbortSignal[]>()

/**
 * A signal that aborts when one of `sources` does, with its reason. AbortSignal.any alone holds its sources weakly: one that
 * nobody else holds, such as AbortSignal.timeout, would be collected and never abort.
 */
export function anyOf(...sources: readonly AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any([...sources])
  followed.set(signal, sources)
  return signal
}
