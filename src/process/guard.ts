import { execa } from 'execa'
import { RUN_VARIABLE } from './environment.ts'
import { lockLimitOf } from './run-mark.ts'

/** The longest time from SIGTERM to SIGKILL: nobody waits for the result of a run whose daemon is dead. */
const MAX_GRACE_MS = 3000
const NAP_MS = 200

/**
 * What the guard does, for any POSIX sh. It reads the number of the run's process group, then waits for the end of its stdin:
 * the kernel closes that when the daemon dies, of whatever. A daemon that lives kills its guard instead.
 *
 * The group is signalled only while its leader is the one that was told, or gone: the number of a group is not used again before its
 * last member is gone. Whatever left it is known by the mark, on Linux; elsewhere the environment of a process cannot be read. It looks
 * until it finds nothing twice: a process that is just about to run another program shows no environment for a moment.
 */
const SCRIPT = `
mark=${RUN_VARIABLE}=$1 naps=$2 locks=$3 prompt=$PROMPT group= since=
trap '' HUP INT TERM

look() {
  its_group= its_start=
  if [ -d /proc/self ]; then
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    set -- \${stat##*) }
    its_group=$3 its_start=\${20}
  else
    its_start=$(ps -o lstart= -p "$1" 2>/dev/null)
  fi
}

find_left() {
  left= ours=
  if [ -n "$group" ] && kill -0 "-$group"; then
    look "$group"
    if [ -z "$its_start" ] || [ "$its_start" = "$since" ]; then ours=$group left=-$group; fi
  fi
  for file in $(grep -lsF -e "$mark" /proc/[0-9]*/environ) $([ -z "$locks" ] || grep -lsE "^Max file locks +$locks " /proc/[0-9]*/limits); do
    pid=\${file#/proc/} pid=\${pid%/*}
    look "$pid"
    if [ -z "$ours" ] || [ "$its_group" != "$ours" ]; then left="$left $pid"; fi
  done
}

tell() { for one in $left; do kill "-$1" "$one"; done; }
lives() { for one in $left; do kill -0 "$one" && return 0; done; return 1; }

exec 2>/dev/null
while read -r said; do group=$said; look "$group"; since=$its_start; done

find_left
tell TERM
tell CONT
while [ "$naps" -gt 0 ] && lives; do sleep ${NAP_MS / 1000}; naps=$((naps - 1)); done
seen=yes
for round in 1 2 3 4 5 6 7 8 9 10; do
  find_left
  [ -n "$left$seen" ] || break
  seen=$left
  tell KILL
  sleep 0.1
done
[ -z "$prompt" ] || rm -f -- "$prompt"
`

export interface GuardOptions {
  readonly runId: string
  readonly graceMs: number
  /** The prompt file of the run, which goes with it. */
  readonly promptPath?: string | undefined
}

/** A small process beside a run that ends the run when the daemon dies without having done so. */
export interface Guard {
  /** Tells it the process group of the run. */
  watch(groupId: number): void
  /** The run is over: ends the guard and waits until it is gone. */
  dismiss(): Promise<void>
}

/**
 * Starts the guard of a run, before the run itself, so that there is no moment without it. Where there is no /bin/sh the run goes
 * without: the next start of the agent ends what is left.
 */
export function postGuard(options: GuardOptions): Guard {
  const guard = start(options)
  // It is gone already: somebody killed it, or there is no shell.
  guard?.stdin.on('error', () => undefined)
  return {
    watch: (groupId) => void guard?.stdin.write(`${groupId}\n`),
    async dismiss() {
      guard?.kill('SIGKILL')
      await guard
    },
  }
}

/**
 * How a guard is started. The text of the script is no argument: it would fill the screen of whoever lists processes. Nor is anything with our
 * name: whoever ends the daemon by that (`pkill -f`) must not end its guard with it.
 */
export function guardCommand({ runId, graceMs, promptPath = '' }: GuardOptions) {
  const naps = Math.ceil(Math.min(graceMs, MAX_GRACE_MS) / NAP_MS)
  return {
    args: ['-c', 'eval "$GUARD"', 'run-guard', runId, String(naps), lockLimitOf(runId) ?? ''],
    // Without the mark of a run: neither this guard nor another ends it.
    env: { PATH: process.env.PATH, LC_ALL: 'C', GUARD: SCRIPT, PROMPT: promptPath },
  }
}

function start(options: GuardOptions) {
  // Without an id the mark would be that of every run.
  if (options.runId === '') return null
  const { args, env } = guardCommand(options)
  try {
    return execa('/bin/sh', args, {
      cwd: '/',
      env,
      extendEnv: false,
      stdin: 'pipe',
      stdout: 'ignore',
      stderr: 'ignore',
      // A session of its own: a Ctrl-C in the terminal and the end of the terminal do not reach it.
      detached: true,
      cleanup: false,
      reject: false,
    })
  } catch {
    return null
  }
}
