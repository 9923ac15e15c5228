package seal_test

import (
	"errors"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
)

const (
	oldKey = "an-older-key-0123456789"
	newKey = "the-newer-key-0123456789"
)

var secrets = []string{"whsec_c2VjcmV0LW9mLXRoZS1zcGVjLTAx", "Bearer token-of-the-spec", "hunter2", "param-secret"}

func config() bson.Raw {
	GinkgoHelper()
	raw, err := bson.Marshal(bson.D{
		{Key: "url", Value: "https://ops:" + secrets[2] + "@example.com/hook?token=" + secrets[3]},
		{Key: "headers", Value: bson.D{{Key: "Authorization", Value: secrets[1]}, {Key: "Content-Type", Value: "application/json"}}},
		{Key: "secret", Value: bson.A{secrets[0], "another-secret-0123456"}},
		{Key: "body", Value: `{"text":"hello"}`}, {Key: "timeout", Value: "5s"}, {Key: "n", Value: int64(1) << 60},
	})
	Expect(err).NotTo(HaveOccurred())
	return raw
}

func webhook() action.Type {
	t, _ := builtin.Table().Lookup("WEBHOOK")
	return t
}

func keys(current string, older ...string) *seal.Keys {
	GinkgoHelper()
	k, err := seal.New(current, older...)
	Expect(err).NotTo(HaveOccurred())
	return k
}

var _ = Describe("sealed secrets", func() {
	It("are in no value, and come back as they were; what is no secret stays readable", func() {
		sealed, err := keys(newKey).Seal(webhook(), config())
		Expect(err).NotTo(HaveOccurred())
		for _, s := range secrets {
			Expect(sealed.String()).NotTo(ContainSubstring(s))
		}
		Expect(sealed.String()).To(And(ContainSubstring("application/json"), ContainSubstring("hello"), ContainSubstring("5s")))
		Expect(seal.Sealed(sealed)).To(BeTrue())
		Expect(keys(newKey).Open(sealed)).To(Equal(config()))
		Expect(webhook().Queue(sealed, 9, 5)).To(Equal("webhooks.critical"), "who only routes needs no key")
	})

	DescribeTable("say whom a URL calls, as it does in the clear", func(url, target string) {
		plain, err := bson.Marshal(bson.D{{Key: "url", Value: url}, {Key: "headers", Value: bson.D{{Key: "url", Value: "https://header.example.com"}}}})
		Expect(err).NotTo(HaveOccurred())
		sealed, err := keys(newKey).Seal(webhook(), plain)
		Expect(err).NotTo(HaveOccurred())
		Expect(sealed.Lookup("url").StringValue()).NotTo(ContainSubstring("pw1234"))
		Expect(sealed.String()).NotTo(ContainSubstring("header.example.com"), "only of the URL that is called")
		Expect(seal.Target(sealed)).To(Equal(target))
		Expect(seal.Target(plain)).To(Equal(target))
		Expect(keys(newKey).Open(sealed)).To(Equal(bson.Raw(plain)))
		Expect(keys(newKey).Current(webhook(), sealed)).To(BeTrue())
	},
		Entry("a host", "https://me:pw1234@Hooks.Example.com/a?b=c", "hooks.example.com"),
		Entry("with a port", "https://me:pw1234@example.com:8443/", "example.com:8443"),
		Entry("an address", "http://me:pw1234@[::1]:8080/", "[::1]:8080"),
	)

	It("of a URL are bound to the target that they say", func() {
		plain, err := bson.Marshal(bson.D{{Key: "url", Value: "https://me:pw@example.com/"}})
		Expect(err).NotTo(HaveOccurred())
		sealed, err := keys(newKey).Seal(webhook(), plain)
		Expect(err).NotTo(HaveOccurred())
		forged, err := bson.Marshal(bson.D{{Key: "url", Value: strings.Replace(sealed.Lookup("url").StringValue(), "@example.com", "@example.org", 1)}})
		Expect(err).NotTo(HaveOccurred())
		_, err = keys(newKey).Open(forged)
		Expect(err).To(MatchError(ContainSubstring("damaged")))
	})

	It("differ each time, so that equal secrets do not show", func() {
		a, _ := keys(newKey).Seal(webhook(), config())
		b, _ := keys(newKey).Seal(webhook(), config())
		Expect(a).NotTo(Equal(b))
	})

	It("open with an older key, too, until they are sealed again", func() {
		sealed, _ := keys(oldKey).Seal(webhook(), config())
		both := keys(newKey, oldKey)
		Expect(both.Open(sealed)).To(Equal(config()))
		Expect(both.Current(webhook(), sealed)).To(BeFalse())
		again, _ := both.Seal(webhook(), config())
		Expect(both.Current(webhook(), again)).To(BeTrue())
		Expect(keys(newKey).Open(again)).To(Equal(config()))
	})

	It("are not opened without their key: the error names it and the variable", func() {
		sealed, _ := keys(oldKey).Seal(webhook(), config())
		for _, k := range []*seal.Keys{keys(newKey), keys(""), nil} {
			opened, err := k.Open(sealed)
			var missing *seal.MissingKeyError
			Expect(err).To(MatchError(And(ContainSubstring("EA_SECRET_KEY"), ContainSubstring("EA_SECRET_KEY_OLD"))))
			Expect(errors.As(err, &missing)).To(BeTrue())
			Expect(missing.KeyID).To(MatchRegexp("^[0-9a-f]{8}$"))
			Expect(sealed.String()).To(ContainSubstring(missing.KeyID))
			Expect(opened).To(Equal(sealed))
			for _, s := range append(secrets, oldKey, newKey) {
				Expect(err.Error()).NotTo(ContainSubstring(s))
			}
		}
	})

	It("are stored as given without a key, and then none counts as sealed", func() {
		for _, k := range []*seal.Keys{keys(""), nil} {
			Expect(k.Seal(webhook(), config())).To(Equal(config()))
			Expect(k.Open(config())).To(Equal(config()))
			Expect(k.Current(webhook(), config())).To(BeTrue())
		}
		Expect(keys(newKey).Current(webhook(), config())).To(BeFalse())
		sealed, _ := keys(newKey).Seal(webhook(), config())
		Expect(keys("", newKey).Current(webhook(), sealed)).To(BeFalse(), "the way back")
	})

	It("that were changed by anybody are refused", func() {
		sealed, _ := keys(newKey).Seal(webhook(), config())
		at := strings.Index(string(sealed), "ea-sealed:1:") + 40
		for _, i := range []int{at, at + 10} {
			broken := append(bson.Raw{}, sealed...)
			broken[i] ^= 1
			_, err := keys(newKey).Open(broken)
			Expect(err).To(MatchError(ContainSubstring("damaged")))
		}
	})

	It("are masked for showing when nobody could open them", func() {
		sealed, _ := keys(newKey).Seal(webhook(), config())
		shown := seal.Hide(webhook().Mask(sealed))
		Expect(shown.String()).NotTo(ContainSubstring("ea-sealed"))
		Expect(shown.Lookup("url").StringValue()).To(Equal(action.Masked))
		Expect(seal.Masked(shown)).To(BeTrue())
		Expect(seal.Hide(config())).To(Equal(config()))
	})

	It("survives what is no configuration", func() {
		k := keys(newKey)
		for _, raw := range []bson.Raw{nil, {}, {1, 2, 3}, {255, 255, 255, 255, 0}, {12, 0, 0, 0, 2, 'u', 'r', 'l', 0, 9, 0, 0}} {
			Expect(func() {
				_, _ = k.Seal(webhook(), raw)
				_, _ = k.Open(raw)
				k.Current(webhook(), raw)
				seal.Hide(raw)
			}).NotTo(Panic())
		}
	})

	It("of every action type come back as they were", func() {
		k := keys(newKey)
		for _, t := range builtin.Table().Types() {
			sealed, err := k.Seal(t, config())
			Expect(err).NotTo(HaveOccurred())
			Expect(k.Open(sealed)).To(Equal(config()), t.Name())
		}
	})
})
