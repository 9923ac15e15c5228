package browser_test

import (
	. "github.com/onsi/ginkgo/v2"
)

// faulty answers what is asked under some paths as a proxy does whose api is away, or
// with a problem. Who waits two seconds to ask again waits a tenth.
const faulty = `(() => {
	const [later, ask] = [setTimeout, fetch];
	window.faults = { '/session': 502 };
	window.setTimeout = (f, milliseconds) => later(f, milliseconds === 2000 ? 100 : milliseconds);
	const answer = (fault) => (fault.code ? new Response(JSON.stringify(fault), { status: fault.status }) : new Response('<h1>away</h1>', { status: fault }));
	window.fetch = (address, how) => (faults[address] ? Promise.resolve(answer(faults[address])) : ask(address, how));
})()`

// passesFaults meets a proxy's errors and a limit, and goes on when they are over.
func passesFaults(p *product) {
	GinkgoHelper()
	one := open(p.base())
	one.visit("#key=" + adminKey)
	one.see("First admin")

	one.before(faulty)
	one.visit("?again")
	one.see("It is not known yet whether you are signed in: 502")
	one.eval("faults = { '/session': 429 }; null")
	one.see("It is not known yet whether you are signed in: 429")
	one.eval("faults = {}; null")
	one.see("First admin")

	one.view("silences?new=yes")
	one.eval("faults = { '/api/v1/rules/test': 502, '/health': 502 }; null")
	one.write("What to be silent about", `{"type": "NOISE"}`)
	one.see("Not checked: 502")
	one.see("The api is away")
	one.until(`[...document.querySelectorAll('form button')].filter((b) => ['Silence', 'Preview'].includes(b.textContent)).filter((b) => !b.disabled).length === 2`, "what could not be checked counts as wrong")
	one.eval("faults = {}; null")
	one.see("The condition is valid.")
	one.see("Connected")

	one.visit("?once-more")
	one.see("It is not known yet whether you are signed in: 502")
	one.eval("faults = { '/session': { status: 500, code: 'internal', detail: 'It cannot be decoded.' } }; null")
	one.see("It cannot be decoded.")
	one.see("API key") // or nobody could use another one
}
