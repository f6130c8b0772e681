// An ESLint rule: what people read goes through the i18n helper. It looks at text between tags, and at strings that are
// the child of a tag or an attribute that is shown or read aloud, whatever chooses between them. Inside <code>, <kbd> and
// <pre> stands what a machine reads; elsewhere that is a constant with a name.

const shown = new Set(['alt', 'aria-description', 'aria-label', 'aria-roledescription', 'aria-valuetext', 'description', 'label', 'placeholder', 'subtitle', 'subTitle', 'title', 'tooltip', 'word']);
/** Ours whose name is a label. */
const named = new Set(['Moment', 'Pick', 'Search', 'ServerPick', 'Values']);
const machine = new Set(['code', 'kbd', 'pre', 'Code']);
const word = /\p{L}{2}/u;
/** Ours, in every language. */
const product = 'Nocturne';

export const visibleText = {
  meta: { type: 'problem', schema: [], messages: { literal: 'People read {{text}}: give it to t() with a key.' } },
  create(context) {
    const inCode = (node) => context.sourceCode.getAncestors(node).some((a) => a.type === 'JSXElement' && machine.has(a.openingElement.name.name));
    const report = (node, text) => {
      if (word.test(text) && text.trim() !== product && !inCode(node)) {
        context.report({ node, messageId: 'literal', data: { text: JSON.stringify(text.trim().slice(0, 60)) } });
      }
    };
    // What an expression can be, as far as it stands here in letters.
    const texts = (node) => {
      switch (node?.type) {
        case 'Literal':
          if (typeof node.value === 'string') {
            report(node, node.value);
          }
          break;
        case 'TemplateLiteral':
          node.quasis.forEach((q) => report(q, q.value.cooked ?? ''));
          break;
        case 'ConditionalExpression':
          texts(node.consequent);
          texts(node.alternate);
          break;
        case 'LogicalExpression':
          texts(node.left);
          texts(node.right);
          break;
        case 'BinaryExpression':
          if (node.operator === '+') {
            texts(node.left);
            texts(node.right);
          }
          break;
        case 'JSXExpressionContainer':
        case 'TSAsExpression':
        case 'TSNonNullExpression':
          texts(node.expression);
          break;
      }
    };
    return {
      JSXText: (node) => report(node, node.value),
      'JSXElement > JSXExpressionContainer, JSXFragment > JSXExpressionContainer': texts,
      JSXAttribute(node) {
        const name = node.name.name;
        if (shown.has(name) || (name === 'name' && named.has(node.parent.name.name))) {
          texts(node.value);
        }
      },
    };
  },
};
