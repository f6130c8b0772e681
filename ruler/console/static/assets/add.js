// Add a server: a form, then the lines to paste.
import { h, data } from './dom.js';
import { post } from './api.js';
import { card, sentence, when } from './format.js';

export const title = 'Add a server';
export const still = true; // nothing here changes by itself

export async function load(ctx, get) {
  return { overview: await get('/overview', {}, ctx.signal) };
}

export function render({ overview }, ctx) {
  const l = ctx.local;
  const field = (name, label, hint) => h('label', null, h('span', null, label), h('input', { name, type: 'text', maxlength: '120', autocomplete: 'off', placeholder: hint }));
  return [
    h('h1', null, title),
    h('p', { class: 'lead' }, 'Make a join token, paste one line on the new server, and it appears in the list within seconds. What is said here is what the fleet believes: a server cannot claim another site or role.'),
    overview.features.add_server
      ? card('1. What it is', null, h('form', { class: 'form', onsubmit: submit(ctx) },
        field('site', 'Site', 'such as north'), field('rack', 'Rack', 'such as n02'), field('role', 'Role', 'such as sql'), field('owner', 'Owner', 'who is called at night'),
        h('label', null, h('span', null, 'How many servers'), h('input', { name: 'uses', type: 'number', min: '1', max: '1000', value: '1' })),
        h('label', null, h('span', null, 'Good for'), h('select', { name: 'ttl' }, [['3600', 'an hour'], ['86400', 'a day'], ['604800', 'a week']].map(([v, t]) => h('option', { value: v }, t)))),
        h('button', { type: 'submit', class: 'button primary' }, 'Make the lines')))
      : h('p', { class: 'banner' }, 'This ruler knows no eventbridge, so no token can be made here. Use nocturne token create on the machine where the bridge runs.'),
    l.error && h('div', { class: 'banner', role: 'alert' }, sentence(l.error.message), ' ', sentence(l.error.hint)),
    l.answer && lines(l.answer, ctx),
  ];
}

const submit = (ctx) => async (e) => {
  e.preventDefault();
  const f = new FormData(e.currentTarget);
  const text = (name) => String(f.get(name) ?? '').trim();
  ctx.local.answer = ctx.local.error = null;
  try {
    ctx.local.answer = await post('/join-tokens', { site: text('site'), rack: text('rack'), role: text('role'), owner: text('owner'), uses: Number(f.get('uses')), ttl_seconds: Number(f.get('ttl')) });
  } catch (err) {
    ctx.local.error = err;
  }
  ctx.refresh();
};

function lines(a, ctx) {
  const copy = async (e) => {
    const box = e.currentTarget.parentElement.nextElementSibling;
    try {
      await navigator.clipboard.writeText(box.textContent);
      ctx.say('Copied.');
    } catch {
      getSelection().selectAllChildren(box);
      ctx.say('Selected: press Ctrl+C.');
    }
  };
  const line = (name, text) => h('div', { class: 'paste' }, h('div', { class: 'line' }, h('h3', null, name), h('button', { type: 'button', onclick: copy, 'aria-label': 'Copy the line for ' + name }, 'Copy')), h('pre', { tabindex: '0' }, text));
  return card('2. Paste one of these', h('span', { class: 'dim' }, a.uses === 1 ? 'for one server' : `for ${a.uses} servers`, ', ends ', when(a.expires_at)),
    h('p', { class: a.network ? '' : 'banner' }, data(a.note, 600)), line('Linux', a.linux), line('Windows (PowerShell)', a.windows));
}
