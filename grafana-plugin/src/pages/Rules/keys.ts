// Which keys a rule may have where the cursor is; the ruler's parser has the last word. Pure.

type Keys = Array<[string, string]>;

const events: Keys = [['provider', 'disk'], ['event_id', '7, with provider'], ['channel', 'System'], ['level', 'error'], ['attrs', '{name: value}'], ['record', 'of other records'], ['if', 'a condition in CEL'], ['device', '{type, attr}']];

const known: Record<string, Keys> = {
  '': [
    ['id', 'for ever'], ['name', "the alert's name"], ['class', 'problem class'], ['severity', 'critical, warning, info'], ['summary', 'one line'], ['description', 'more'], ['runbook', 'file#section'],
    ['servers', '{site: bern}'], ['for', '5m'], ['expires', '12h'], ['retell', 'true'], ['match', 'an event'], ['state', 'a bad value'], ['absent', 'silence'], ['change', 'a part changed'],
    ['count', 'so often'], ['flap', 'to and fro'], ['sequence', 'one after another'], ['clone', 'an identity used twice'], ['risk', 'rules together'],
  ],
  servers: [['name', ''], ['site', ''], ['rack', ''], ['role', ''], ['owner', ''], ['os', ''], ['simulated', 'true or false']],
  match: [...events, ['clear', 'the event that ends it']],
  clear: events,
  event: events,
  device: [['type', 'disk'], ['attr', 'event.data.param1'], ['text', 'a pattern']],
  state: [['device', 'virtual_drive'], ['field', 'state'], ['ok', 'good values'], ['bad', 'bad values'], ['above', 'a limit'], ['below', 'a limit'], ['clear', 'the other limit'], ['keep', 'how long good'], ['levels', '{critical: …}']],
  absent: [['category', 'heartbeat'], ['after', '5m'], ['goodbye', '{stop, restart, shutdown}'], ['while', 'heartbeat, shutdown, expected']],
  goodbye: [['stop', '10m'], ['restart', '1h'], ['shutdown', 'back']],
  change: [['device', ''], ['kinds', 'added, removed …'], ['fields', ''], ['ignore', ''], ['also', ''], ['levels', ''], ['across', 'true']],
  count: [['event', ''], ['counter', '{device, field}'], ['more_than', '5'], ['within', '10m']],
  counter: [['device', ''], ['field', '']],
  flap: [['device', ''], ['field', ''], ['changes', '6'], ['within', '10m']],
  clone: [['quiet', '15m']],
  risk: [['degraded', 'rules about arrays'], ['weak', 'rules about drives'], ['failed', 'rules about drives']],
};

/** The keys for a place: the lines before it, and its own line up to it. */
export function keysAt(above: string, before: string): Keys {
  const inline = /([a-z_]+):\s*\{[^}]*$/.exec(before);
  if (inline) {
    return known[inline[1]] ?? [];
  }
  const indent = before.length - before.trimStart().length;
  if (indent === 0) {
    return known[''];
  }
  for (const line of above.split('\n').reverse()) {
    const m = /^(\s*)(?:- )?([a-z_]+):/.exec(line);
    if (m && m[1].length < indent) {
      return known[m[2]] ?? [];
    }
  }
  return known[''];
}
