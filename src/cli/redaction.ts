import type { Redactor } from '../base/redact.ts'
import { type SecretSources, secretRedactor } from '../process/secrets.ts'

/** Takes the secrets out of all that this process says. Passwords that turn up later are learnt. */
export class Redaction {
  #sources: SecretSources
  #redactor: Redactor

  constructor(sources: SecretSources) {
    this.#sources = sources
    this.#redactor = secretRedactor(sources)
  }

  get redactor(): Redactor {
    return this.#redactor
  }

  readonly text = (text: string): string => this.#redactor.text(text)

  learn(values: readonly (string | undefined)[]): void {
    if (values.every((value) => value === undefined || this.#sources.values.includes(value))) return
    this.#sources = { ...this.#sources, values: [...this.#sources.values, ...values] }
    this.#redactor = secretRedactor(this.#sources)
  }
}
