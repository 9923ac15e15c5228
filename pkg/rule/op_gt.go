package rule

var opGt = operator{
	name:  "$gt",
	doc:   "The field, or an element of the array it holds, is greater than the value and of the same kind: numbers with numbers, text with text, dates with dates.",
	field: ordering("$gt", greater),
	must:  comparison(">"),
	hint:  orderHint,
}
