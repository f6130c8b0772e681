// One change as a line, for the overview and for a server.
import { h, data } from './dom.js';
import { serverLink, simulated, when, words } from './format.js';

const signs = { added: '+', removed: '−', replaced: '⇄', moved: '→', field: '∆' };

export function item(c, withServer) {
  return h('li', { 'data-key': String(c.id) }, h('div', { class: 'row' }, h('span', { class: `change ${c.kind}`, title: words(c.kind), 'aria-hidden': 'true' }, signs[c.kind] ?? '∆'),
    h('div', { class: 'grow' }, withServer && h('div', { class: 'line' }, serverLink(c.server_id, c.server), simulated(c.simulated)), h('div', null, data(c.text)), h('div', { class: 'dim' }, when(c.at), !withServer && c.simulated && [' ', simulated(true)]))));
}
