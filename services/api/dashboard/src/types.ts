// What the api answers with, as far as the dashboard shows it; services/api/openapi.yaml is the whole.
export type Doc = Record<string, unknown>;

export interface Key {
  id: string;
  prefix: string;
  name?: string;
  created_at: string;
  last_used_at?: string;
  expires_at?: string;
}

export interface User {
  user_id: string;
  email: string;
  name: string;
  role: 'admin' | 'user';
  preferences: { notification_channels: string[]; event_types: string[] };
  api_keys: Key[];
  version: number;
  created_at: string;
  created_by?: string;
}

export interface Session {
  user: User;
  key_id: string;
  csrf_token: string;
  expires_at: string;
}

export interface Health {
  status: 'ok' | 'degraded' | 'down';
  components: Record<string, { status: string; reason?: string }>;
  lag_budget_seconds: number;
  lag?: Lag[];
}

export interface Lag {
  stage: string;
  batches: number;
  seconds: number;
}

export interface Page<T> {
  items: T[];
  next_cursor?: string;
}

export interface EventDoc {
  event_id: string;
  type: string;
  source: string;
  severity: number;
  timestamp: string;
  user_id?: string;
  session_id?: string;
  trace_id?: string;
  payload: Doc;
  metadata: Doc;
  processed: boolean;
  matched_rules?: string[];
  created_at: string;
}

// Related is what is told of an event beside another one.
export type Related = Pick<EventDoc, 'event_id' | 'type' | 'source' | 'severity' | 'timestamp'>;

export interface EventTrace {
  event: EventDoc;
  batch?: {
    ingester: string;
    count: number;
    stored_at: string;
    published_at: string | null;
    decided_at?: string;
    matched_at: string | null;
    actions_published_at: string | null;
    aggregated_at: string | null;
  };
  rules: { rule_id: string; rule_name?: string; rule_version?: number; notifications: Notification[] }[];
  caused_by?: EventDoc;
  caused: Related[];
  same_trace: Related[];
  left_out?: ('notifications' | 'caused' | 'same_trace')[];
}

export interface Hit {
  event: EventDoc;
  score: number;
  highlights?: { path: string; text: string }[];
}

export interface Action {
  type: string;
  config: Doc;
}

export interface Rule {
  rule_id: string;
  name: string;
  description?: string;
  conditions: Doc;
  actions: Action[];
  priority: number;
  enabled: boolean;
  mode: 'live' | 'shadow';
  window?: Doc;
  throttle?: Doc;
  group?: Doc;
  mute?: Doc[];
  max_matches_per_hour?: number;
  version: number;
  created_at: string;
  updated_at: string;
  created_by?: string;
  deleted?: boolean;
  rolled_back_to?: number;
  warnings?: { pointer?: string; message: string }[];
}

export interface Attempt {
  number: number;
  at: string;
  duration_ms: number;
  outcome: 'ok' | 'retry' | 'permanent';
  status_code?: number;
  error_class?: string;
  error?: string;
  response_excerpt?: string;
  receipts?: string[];
  worker?: string;
}

export interface Notification {
  notification_id: string;
  event_id: string;
  rule_id: string;
  rule_version: number;
  rule_name: string;
  action: Action;
  queue: string;
  status: 'pending' | 'delivered' | 'dead' | 'suppressed';
  reason?: string;
  held?: { id?: string; until?: string };
  attempts: Attempt[] | null;
  attempt_count: number;
  next_attempt_at?: string;
  alert?: { text: string };
  group?: { matches: number };
  trial?: boolean;
  created_at: string;
  updated_at: string;
}

export interface Silence {
  silence_id: string;
  state: 'pending' | 'active' | 'expired';
  condition: Doc;
  rules?: string[];
  from: string;
  until: string;
  author: string;
  comment: string;
  held?: number;
}

export interface Target {
  target_id: string;
  target: string;
  state: 'open' | 'half_open' | 'closed' | 'disabled';
  reason?: string;
  since: string;
  retry_at?: string;
  opened: number;
  by?: string;
}

export interface DeadGroup {
  queue: string;
  reason: string;
  cause: string;
  error_class: string;
  fingerprint: string;
  messages: number;
  since: string;
  last: string;
  example: string;
  error: string;
}

export interface DeadLetter {
  dead_id: string;
  queue: string;
  reason: string;
  error_class: string;
  error: string;
  event_id?: string;
  event_types?: string[];
  notification_id?: string;
  target?: string;
  dead_at: string;
  attempts: number;
  body?: unknown;
  body_base64?: string;
}

export interface Replayed {
  matched: number;
  replayed: number;
  failed: number;
  complete: boolean;
  dry_run: boolean;
  detail?: string;
  failures: { dead_id: string; error: string }[];
}

export interface Explanation {
  path?: string;
  operator: string;
  matched: boolean;
  text: string;
  clauses?: Explanation[];
}

export interface Tested {
  items: { index: number; event_id?: string; matched: boolean; text: string; note?: string; explanation: Explanation }[];
  warnings?: { pointer?: string; message: string }[];
}

export interface Explained {
  text: string;
  outcome: string;
  steps: { name: string; ok: boolean; text: string }[];
  condition: Explanation;
  notifications: Notification[];
}

export interface Backtest {
  from: string;
  to: string;
  cut?: string;
  matches: number;
  unit: 'hour' | 'day';
  counts: { at: string; matches: number }[];
  samples: { event_id: string; timestamp: string; type: string; source: string; severity: number }[];
  alerts?: { total: number };
  actions: { owed: number; left: number; notifications: number; held?: Record<string, number>; note?: string };
  difference?: { with: string; version: number; both: number; only: { total: number }; only_live: { total: number }; note?: string };
}

export interface Figures {
  count: number;
  errors: number;
  error_rate: number;
  events_per_minute: number;
  levels: Record<Level, number>;
  response_time?: { p50: number; p95: number; p99: number };
}

export type Level = 'info' | 'warning' | 'error' | 'critical';

export interface Share {
  value: string;
  count: number;
  errors: number;
  error_rate: number;
  previous_count?: number;
}

export interface Summary extends Figures {
  from: string;
  to: string;
  by_type: Share[];
  by_source: Share[];
  previous?: Figures;
}

export interface Point {
  timestamp: string;
  value: number | null;
  count: number;
  errors: number;
  p95?: number;
}

export interface Line {
  name: string;
  count: number;
  points: Point[];
}

export interface Trends {
  period: string;
  total: Line;
  series: Line[];
}

export interface TopErrors {
  items: { type: string; error: string; count: number; last_seen: string; affected_users: number; sample_event_id: string; sparkline: number[] }[];
}

export interface Status {
  events: { stored: number; unprocessed: number };
  notifications: Record<string, number>;
  notifications_at_least?: string[];
  dead_letters_waiting: number;
  dead_letters_at_least?: boolean;
  lag: Record<string, Lag>;
  stream_clients: number;
}

export interface Audit {
  audit_id: string;
  at: string;
  by: string;
  action: string;
  subject: string;
  before?: Doc;
  after?: Doc;
}
