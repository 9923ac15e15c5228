package rule

var opGte = operator{
	name:  "$gte",
	doc:   "As $gt, or equal. {$gte: null} is the same as {$eq: null}.",
	field: ordering("$gte", greaterOrEqual),
	must:  comparison(">="),
	hint:  orderHint,
}
