// Shows /openapi.json. Nothing is asked of any other host: no fonts, no
// validator, no badge.
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#page',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false, // a key is not left behind in the browser
  tryItOutEnabled: true,
  validatorUrl: null,
  showExtensions: true, // the role of each operation
  showCommonExtensions: true,
});
