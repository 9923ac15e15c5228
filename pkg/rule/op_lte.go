package rule

var opLte = operator{
	name:  "$lte",
	doc:   "As $lt, or equal. {$lte: null} is the same as {$eq: null}.",
	field: ordering("$lte", lessOrEqual),
	must:  comparison("<="),
	hint:  orderHint,
}
