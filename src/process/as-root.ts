import type { Profile } from './profile.ts'

/** Why a CLI would refuse to run as this user in this environment, in one sentence; null when it would not. */
export function rootRefusal(
  { asRoot, title }: Profile,
  environment: Readonly<Record<string, string | undefined>>,
  uid: number | undefined = process.getuid?.(),
): string | null {
  if (!asRoot || uid !== 0 || environment[asRoot.variable]) return null
  return `${title} refuses to run as root without ${asRoot.variable}; ${asRoot.remedy}`
}
