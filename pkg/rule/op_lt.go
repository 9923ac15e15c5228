package rule

var opLt = operator{
	name:  "$lt",
	doc:   "The field, or an element of the array it holds, is less than the value and of the same kind.",
	field: ordering("$lt", less),
	must:  comparison("<"),
	hint:  orderHint,
}
