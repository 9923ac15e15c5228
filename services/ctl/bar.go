package ctl

import (
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// partBar shows which part of something is done, where somebody looks.
type partBar struct {
	bars          *mpb.Progress // nil: nobody looks
	bar           *mpb.Bar
	before, after atomic.Pointer[string]
}

// barSteps is the bar's resolution.
const barSteps = 1000

// partBar begins one that waits.
func (t *tool) partBar() *partBar {
	b := &partBar{}
	if !isTerminal(t.errOut) {
		return b
	}
	before, after := "waiting ", ""
	b.before.Store(&before)
	b.after.Store(&after)
	b.bars = mpb.New(mpb.WithOutput(t.errOut))
	b.bar = b.bars.AddBar(barSteps, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return *b.before.Load() })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return *b.after.Load() })))
	return b
}

func (b *partBar) show(part float64, before, after string) {
	if b.bars == nil {
		return
	}
	before, after = before+" ", " "+after
	b.before.Store(&before)
	b.after.Store(&after)
	b.bar.SetCurrent(min(int64(part*barSteps), barSteps-1)) // the last step is the result
}

func (b *partBar) end() {
	if b.bars == nil {
		return
	}
	b.bar.Abort(true)
	b.bars.Wait()
}
