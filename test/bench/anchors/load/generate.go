package load

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"time"
)

// event is one in the native shape. Most are mild: 8 % have severity 7 or more,
// 70 % have a user, 40 % a session, 60 % an amount, 30 % a response time, 5 % a
// place.
type event struct {
	EventID   string   `json:"event_id"`
	Type      string   `json:"type"`
	Source    string   `json:"source"`
	Severity  int      `json:"severity"`
	Timestamp string   `json:"timestamp"`
	UserID    string   `json:"user_id,omitempty"`
	SessionID string   `json:"session_id,omitempty"`
	TraceID   string   `json:"trace_id"`
	Payload   payload  `json:"payload"`
	Metadata  metadata `json:"metadata"`
}

type payload struct {
	Amount         *float64 `json:"amount,omitempty"`
	Currency       string   `json:"currency"`
	ErrorCode      string   `json:"error_code,omitempty"`
	CustomerID     string   `json:"customer_id,omitempty"`
	OrderID        string   `json:"order_id"`
	ResponseTimeMS int64    `json:"response_time_ms,omitempty"`
	Retries        int      `json:"retries"`
	Host           string   `json:"host"`
	Message        string   `json:"message"`
	Tags           []string `json:"tags"`
}

type metadata struct {
	Region    string `json:"region"`
	IPAddress string `json:"ip_address"`
	UserAgent string `json:"user_agent"`
	Version   string `json:"version"`
	Location  *point `json:"location,omitempty"`
}

// point is a GeoJSON point: longitude, latitude.
type point struct {
	Type        string     `json:"type"`
	Coordinates [2]float64 `json:"coordinates"`
}

// stampLayout is RFC 3339 in UTC of a fixed length, so that it can be written
// over in place.
const stampLayout = "2006-01-02T15:04:05.000000Z"

var (
	domains    = []string{"PAYMENT", "ORDER", "USER", "INVENTORY", "SHIPMENT", "REFUND", "CART", "LOGIN", "INVOICE", "SUBSCRIPTION", "EMAIL", "SMS", "CATALOG", "PRICE", "COUPON", "FRAUD", "LEDGER", "TICKET", "REVIEW", "SEARCH"}
	outcomes   = []string{"CREATED", "FAILED", "UPDATED", "CANCELLED", "COMPLETED", "EXPIRED", "RETRIED", "DECLINED", "TIMEOUT", "DELETED"}
	services   = []string{"payments", "orders", "users", "inventory", "shipping", "refunds", "carts", "auth", "billing", "mailer"}
	regions    = []string{"eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-south-1", "ap-southeast-2", "sa-east-1", "ca-central-1", "me-south-1", "af-south-1"}
	currencies = []string{"USD", "EUR", "GBP", "JPY", "INR", "BRL", "AUD", "CAD", "CHF", "SEK", "PLN", "ZAR"}
	families   = []string{"PAY", "NET", "DB", "AUTH", "VAL", "RATE", "GW", "SYS"}
	suffixes   = []string{"TIMEOUT", "DECLINED", "LIMIT", "CONFLICT", "INTERNAL", "BADREQ"}
	agents     = []string{"curl/8.5.0", "okhttp/4.12.0", "Go-http-client/2.0", "python-requests/2.32.3", "Mozilla/5.0 Firefox/128.0", "Mozilla/5.0 Chrome/126.0", "shop-android/7.4.1", "shop-ios/7.5.0"}
	tags       = []string{"prod", "canary", "batch", "mobile", "web", "partner", "internal", "replay", "vip", "eu-only"}
	words      = strings.Fields("the request was rejected by upstream gateway because card issuer returned an unexpected response while processing customer order retry scheduled after backoff connection reset by peer during settlement phase")

	// severities is the cumulative distribution of 1 to 10.
	severities = []float64{.22, .42, .60, .74, .84, .915, .955, .98, .993, 1}
)

const types, sources = 200, 50

func typeName(i int) string { return domains[i%20] + "_" + outcomes[i/20] }

func sourceName(i int) string { return fmt.Sprintf("%s-service-%d", services[i%10], i/10+1) }

// generator draws what rules look at from r and all else from x, so that a
// change of the rest leaves every match as it was.
type generator struct{ r, x *rand.Rand }

func newGenerator(seed int64) *generator {
	return &generator{r: rand.New(rand.NewSource(seed)), x: rand.New(rand.NewSource(^seed))}
}

func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Intn(256))
	}
	return hex.EncodeToString(b)[:n]
}

func oneOf(r *rand.Rand, list []string) string { return list[r.Intn(len(list))] }

func (g *generator) event() event {
	r, x := g.r, g.x
	e := event{
		EventID: ID(0, 0), Type: typeName(r.Intn(types)), Source: sourceName(r.Intn(sources)), Severity: severity(r),
		Timestamp: time.Unix(0, 0).UTC().Format(stampLayout), TraceID: digits(x, 32),
		Payload: g.payload(), Metadata: g.metadata(),
	}
	if x.Float64() < .7 {
		e.UserID = fmt.Sprintf("user-%04d", x.Intn(5000))
	}
	if x.Float64() < .4 {
		e.SessionID = "s-" + digits(x, 12)
	}
	return e
}

func severity(r *rand.Rand) int {
	u := r.Float64()
	for i, c := range severities {
		if u < c {
			return i + 1
		}
	}
	return len(severities)
}

// payload: the amount is log-normal with a median of 90.
func (g *generator) payload() payload {
	r, x := g.r, g.x
	p := payload{
		Currency: oneOf(r, currencies), OrderID: "ord_" + digits(x, 14), Retries: x.Intn(6),
		Host: fmt.Sprintf("ip-10-%d-%d-%d", x.Intn(256), x.Intn(256), x.Intn(256)),
	}
	if r.Float64() < .6 {
		amount := math.Round(math.Exp(4.5+1.6*r.NormFloat64())*100) / 100
		p.Amount = &amount
	}
	if r.Float64() < .35 {
		p.ErrorCode = fmt.Sprintf("%s-%d-%s", oneOf(r, families), 100+r.Intn(900), oneOf(r, suffixes))
	}
	if r.Float64() < .8 {
		p.CustomerID = "cus_" + digits(x, 14)
	}
	if x.Float64() < .3 {
		p.ResponseTimeMS = int64(1 + math.Exp(3.9+1.1*x.NormFloat64()))
	}
	message := make([]string, 7+x.Intn(8))
	for i := range message {
		message[i] = oneOf(x, words)
	}
	p.Message = strings.Join(message, " ")
	for range 1 + x.Intn(3) {
		p.Tags = append(p.Tags, oneOf(x, tags))
	}
	return p
}

func (g *generator) metadata() metadata {
	x := g.x
	m := metadata{
		Region: oneOf(g.r, regions), IPAddress: fmt.Sprintf("198.51.%d.%d", x.Intn(256), 1+x.Intn(254)),
		UserAgent: oneOf(x, agents), Version: fmt.Sprintf("2.%d.%d", x.Intn(40), x.Intn(20)),
	}
	if x.Float64() < .05 {
		m.Location = &point{"Point", [2]float64{
			math.Round((x.Float64()*360-180)*1e4) / 1e4, math.Round((x.Float64()*140-60)*1e4) / 1e4,
		}}
	}
	return m
}

// Types are those of the events.
func Types() []string {
	all := make([]string, types)
	for i := range all {
		all[i] = typeName(i)
	}
	return all
}
