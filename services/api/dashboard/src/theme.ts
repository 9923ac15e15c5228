import { observable } from './observable';

export type Theme = 'auto' | 'light' | 'dark';

const kept = localStorage.getItem('theme');
export const theme = observable<Theme>(kept === 'light' || kept === 'dark' ? kept : 'auto');
const night = matchMedia('(prefers-color-scheme: dark)');
export const dark = observable(false);

function apply() {
  const chosen = theme.get();
  const isDark = chosen === 'dark' || (chosen === 'auto' && night.matches);
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
  dark.set(isDark);
}

night.addEventListener('change', apply);
apply();

export function choose(next: Theme) {
  theme.set(next);
  localStorage.setItem('theme', next);
  apply();
}
