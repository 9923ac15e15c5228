package event

import (
	"time"
)

// parseTimestamp reads RFC 3339: date and time separated by T or t, any number
// of fractional digits (those below a nanosecond are dropped), Z, z or an
// offset. Unlike time.Parse it knows the lower-case letters and the leap second
// 23:59:60 UTC, both of which the RFC allows; a leap second counts as the second
// after it, since BSON dates and POSIX time have none.
func parseTimestamp(s []byte) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' ||
		s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	ok := true
	year := decimal(s[0:4], 9999, &ok)
	month := decimal(s[5:7], 12, &ok)
	day := decimal(s[8:10], 31, &ok)
	hour := decimal(s[11:13], 23, &ok)
	minute := decimal(s[14:16], 59, &ok)
	second := decimal(s[17:19], 60, &ok)
	nanos, rest := fraction(s[19:], &ok)
	offset := zone(rest, &ok)
	if !ok || month == 0 || day == 0 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC).Add(-offset)
	if at.Year() < 1 || at.Year() > 9999 || second == 60 && (at.Hour() != 0 || at.Minute() != 0) {
		return time.Time{}, false
	}
	return at, true
}

// decimal reads digits as a number of at most most.
func decimal(s []byte, most int, ok *bool) (v int) {
	for _, c := range s {
		if c < '0' || c > '9' {
			*ok = false
			return 0
		}
		v = v*10 + int(c-'0')
	}
	if v > most {
		*ok = false
	}
	return v
}

// fraction reads the fraction of a second, if s begins with one.
func fraction(s []byte, ok *bool) (nanos int, rest []byte) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s
	}
	s = s[1:]
	unit := int(time.Second)
	n := 0
	for ; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
		unit /= 10
		nanos += int(s[n]-'0') * unit
	}
	if n == 0 {
		*ok = false
	}
	return nanos, s[n:]
}

// zone reads Z or an offset, which must end the text.
func zone(s []byte, ok *bool) time.Duration {
	if len(s) == 1 && s[0]|0x20 == 'z' {
		return 0
	}
	if len(s) != len("+00:00") || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		*ok = false
		return 0
	}
	d := time.Duration(decimal(s[1:3], 23, ok))*time.Hour + time.Duration(decimal(s[4:6], 59, ok))*time.Minute
	if s[0] == '-' {
		return -d
	}
	return d
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
