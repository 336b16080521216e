import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, resolve } from 'node:path'

/**
 * Finds the file that a start of `program` would run, as an absolute path; null when there is none that may be executed.
 * A name with a slash is a path, relative to `cwd`; any other is looked up in `path`. Empty entries of `path` are passed over.
 */
export async function findProgram(
  program: string,
  { path, cwd }: { readonly path: string | undefined; readonly cwd: string },
): Promise<string | null> {
  if (program === '') return null
  const folders = program.includes('/')
    ? ['.']
    : (path ?? '').split(delimiter).filter((entry) => entry !== '')
  for (const folder of folders) {
    const file = resolve(cwd, folder, program)
    if (await isExecutable(file)) return file
  }
  return null
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    // A folder has the executable bit as well.
    return (await stat(file)).isFile()
  } catch {
    return false
  }
}
