package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a machine without time zones knows the same times
)

// MuteTimes are a rule's mute intervals, ready to be asked.
type MuteTimes struct{ times []muteTime }

type muteTime struct {
	days     [7]bool // by time.Weekday
	from, to int     // minutes of the day; to may be on the next day
	zone     *time.Location
}

const minutesOfDay = 24 * 60

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// NewMuteTimes prepares intervals; Validate refuses those that fail here.
func NewMuteTimes(mutes []Mute) (MuteTimes, error) {
	times := make([]muteTime, len(mutes))
	for i, m := range mutes {
		if wrong := m.check(func(t muteTime) { times[i] = t }); len(wrong) > 0 {
			return MuteTimes{}, fmt.Errorf("mute %d: %s: %s", i, wrong[0].Pointer, wrong[0].Message)
		}
	}
	return MuteTimes{times}, nil
}

// Until says whether a moment is muted, and when the interval that it lies in
// ends (the last to end, if several do).
func (m MuteTimes) Until(at time.Time) (until time.Time, muted bool) {
	for _, t := range m.times {
		if end, is := t.until(at); is {
			muted = true
			if end.After(until) {
				until = end
			}
		}
	}
	return until, muted
}

// until goes by the clock on the wall: an interval is as long as the clock says
// also on the days when it is put forward or back.
func (t muteTime) until(at time.Time) (time.Time, bool) {
	local := at.In(t.zone)
	minute := local.Hour()*60 + local.Minute()
	year, month, day := local.Date()
	today := local.Weekday()
	yesterday := (today + 6) % 7
	to, ends := t.to, 0
	switch overnight := t.to <= t.from; {
	case t.days[today] && minute >= t.from && (overnight || minute < t.to):
		if overnight {
			ends = 1
		}
	case overnight && t.days[yesterday] && minute < t.to:
	default:
		return time.Time{}, false
	}
	end := time.Date(year, month, day+ends, to/60, to%60, 0, 0, t.zone)
	if end.Hour()*60+end.Minute() != t.to%minutesOfDay {
		// Put forward, the clock never shows the end: it is when it was put.
		end, _ = end.ZoneBounds()
	}
	// Put back, the clock shows the end twice, and at may lie between the two.
	for !end.After(at) {
		end = end.Add(30 * time.Minute)
	}
	return end.UTC(), true
}

// check names what is wrong, or gives the prepared interval.
func (m Mute) check(ready func(muteTime)) []Problem {
	var wrong []Problem
	refuse := func(pointer, format string, args ...any) {
		wrong = append(wrong, Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
	var t muteTime
	for i, d := range m.Days {
		day := slices.Index(weekdays, d)
		if day < 0 {
			refuse("/days/"+strconv.Itoa(i), "%q is no day; they are %s", d, strings.Join(weekdays, ", "))
			continue
		}
		t.days[day] = true
	}
	if len(m.Days) == 0 {
		t.days = [7]bool{true, true, true, true, true, true, true}
	}
	var fromOK, toOK bool
	if t.from, fromOK = minuteOf(m.From); !fromOK || t.from == minutesOfDay {
		refuse("/from", "%q is no time of the day, such as 22:00", m.From)
	}
	if t.to, toOK = minuteOf(m.To); !toOK {
		refuse("/to", "%q is no time of the day, such as 06:30, or 24:00", m.To)
	}
	if fromOK && toOK && t.from == t.to {
		refuse("/to", "is the same as from; the whole day is from 00:00 to 24:00")
	}
	zone, err := time.LoadLocation(m.TimeZone)
	if err != nil || m.TimeZone == "Local" { // which would be another one on each machine
		refuse("/time_zone", "%q is no time zone, such as Europe/Berlin or UTC", m.TimeZone)
	}
	t.zone = zone
	if len(wrong) == 0 {
		ready(t)
	}
	return wrong
}

// minuteOf reads hh:mm.
func minuteOf(text string) (int, bool) {
	hour, minute, ok := strings.Cut(text, ":")
	h, errH := strconv.Atoi(hour)
	m, errM := strconv.Atoi(minute)
	if !ok || errH != nil || errM != nil || len(hour) != 2 || len(minute) != 2 || h < 0 || m < 0 || m > 59 || h*60+m > minutesOfDay {
		return 0, false
	}
	return h*60 + m, true
}
