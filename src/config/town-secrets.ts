/** The variables that open the town's Redis: a CLI that has one could rewrite every record. No child gets them. */
export const TOWN_SECRETS: readonly string[] = [
  'REDIS_URL',
  'TINYTOWN_REDIS_PASSWORD',
  'TINYTOWN_REDIS_SENTINEL_PASSWORD',
]

export const NO_TOWN_SECRET = `names other than ${TOWN_SECRETS.join(', ')}, which open the town and are given to no CLI`
export const OTHER_NAME_REMEDY = 'A CLI that needs a Redis of its own gets its address under another name'
