package rule

// JSON renders the rule in the API's shape: rule_id, times in RFC 3339,
// conditions and configurations in relaxed extended JSON. It shows secrets;
// what leaves the process is r.Masked(types).JSON().
func (r Rule) JSON() ([]byte, error) { return nil, nil }

// Masked is a copy whose action configurations show no secret.
func (r Rule) Masked(types Validator) Rule { return r }

// Restored is a copy whose action configurations have the stored rule's secrets
// where they still carry a mask.
func (r Rule) Restored(stored Rule, types Validator) Rule { return r }
