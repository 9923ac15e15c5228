package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// foreign are the EA_ variables that belong to other parts: eactl, the scripts,
// the tests. Anything else that begins with EA_ and is no key is a mistake that
// would otherwise be found out in production.
var foreign = regexp.MustCompile(`^EA_(CONFIG|API_URL|API_KEY|FAULT|MONGO|RABBITMQ|(RUN|INFRA|PORT|BENCH|TEST|DEMO)(_.*)?)$`)

// serviceLinks are what Kubernetes puts into every container for a Service
// named ea-…; nobody wrote them, so nobody can mend them.
var serviceLinks = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

// environment is the part of the environment that is ours. A variable that is
// set to nothing counts as not set: that is how Compose files pass on what the
// caller left out.
func environment(environ []string) map[string]string {
	out := map[string]string{}
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "EA_") && text != "" {
			out[name] = text
		}
	}
	return out
}

// readEnvironment takes EA_SECTION_KEY, and EA_SECTION_KEY_FILE for secrets.
func (l *loader) readEnvironment(env map[string]string) {
	byEnv := map[string]*key{}
	for _, k := range l.order {
		byEnv[k.env()] = k
	}
	for _, name := range sortedKeys(env) {
		if k := byEnv[name]; k != nil {
			l.takeEnv(k, name, env[name])
			continue
		}
		if k := byEnv[strings.TrimSuffix(name, "_FILE")]; k != nil && k.masked && strings.HasSuffix(name, "_FILE") {
			if _, both := env[k.env()]; both {
				l.problem(k.name, name, fmt.Sprintf("%s is set too; set one of them", k.env()))
				continue
			}
			l.takeSecretFile(k, name, env[name])
			continue
		}
		if !foreign.MatchString(name) && !serviceLinks.MatchString(name) {
			l.problem(name, "", "unknown variable"+suggestEnv(name, byEnv))
		}
	}
}

func (l *loader) takeEnv(k *key, source, s string) {
	if l.take(k.name, source, text(s)) {
		l.settings.Set(k.name, text(s))
	}
}

// takeSecretFile reads a secret as mounted by Docker or Kubernetes; the line
// end that an editor left is not part of it.
func (l *loader) takeSecretFile(k *key, source, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		l.problem(k.name, source, fmt.Sprintf("read %s: %v", path, err))
		return
	}
	l.takeEnv(k, source, strings.TrimRight(string(data), "\r\n"))
}

func suggestEnv(name string, known map[string]*key) string {
	names := sortedKeys(known)
	i := slices.IndexFunc(names, func(k string) bool { return editDistance(name, k) <= 2 })
	if i < 0 {
		return ""
	}
	return "; did you mean " + names[i] + "?"
}
