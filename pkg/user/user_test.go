package user_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/user"
)

func TestUser(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "User")
}

// places are where the mistakes are.
func places(err error) []string {
	var wrong *user.Invalid
	if !errors.As(err, &wrong) {
		return nil
	}
	var all []string
	for _, p := range wrong.Problems {
		all = append(all, p.Pointer)
	}
	return all
}

var _ = Describe("a user", func() {
	DescribeTable("is refused with every mistake by its place", func(change func(*user.User), expected ...string) {
		u := user.User{Email: "ops@example.com", Role: user.Plain}
		Expect(u.Validate()).To(Succeed())
		change(&u)
		Expect(places(u.Validate())).To(Equal(expected))
	},
		Entry("no address", func(u *user.User) { u.Email = "" }, "/email"),
		Entry("an address with a name", func(u *user.User) { u.Email = "Ops <ops@example.com>" }, "/email"),
		Entry("an address beyond what mail has", func(u *user.User) { u.Email = strings.Repeat("x", 250) + "@example.com" }, "/email"),
		Entry("another role", func(u *user.User) { u.Role = "root" }, "/role"),
		Entry("a long name", func(u *user.User) { u.Name = strings.Repeat("é", 201) }, "/name"),
		Entry("a name with a NUL", func(u *user.User) { u.Name = "a\x00b" }, "/name"),
		Entry("types that are none, or there twice", func(u *user.User) {
			u.Preferences.EventTypes = []string{"A_TYPE", "$where", "A_TYPE"}
		}, "/preferences/event_types/1", "/preferences/event_types/2"),
		Entry("too many", func(u *user.User) { u.Preferences.NotificationChannels = make([]string, 51) }, "/preferences/notification_channels"),
		Entry("all at once", func(u *user.User) { u.Email, u.Role = "x", "" }, "/email", "/role"),
	)

	It("enters while a key is in force", func() {
		now := time.Now()
		ends := now.Add(time.Hour)
		u := user.User{APIKeys: []user.APIKey{{ID: "a", ExpiresAt: &ends}}}
		Expect(u.Enters(now)).To(BeTrue())
		Expect(u.Enters(ends)).To(BeFalse())
		Expect(user.User{}.Enters(now)).To(BeFalse())
	})

	It("has keys that end later, and not in a lifetime", func() {
		now := time.Now()
		for _, after := range []time.Duration{-time.Second, 0, 11 * 366 * 24 * time.Hour} {
			ends := now.Add(after)
			Expect(places(user.APIKey{ExpiresAt: &ends}.Validate(now))).To(Equal([]string{"/expires_at"}), "%s", after)
		}
		Expect(user.APIKey{Name: "deploy"}.Validate(now)).To(Succeed())
	})
})
