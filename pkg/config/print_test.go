package config_test

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
)

var _ = Describe("configs/default.yaml", func() {
	const path = "../../configs/default.yaml"

	It("is what go generate writes", func() {
		have, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(have)).To(Equal(config.DefaultYAML()), "run go generate ./pkg/config")
	})

	It("is a configuration that changes nothing", func() {
		c, err := config.Load(config.Options{Process: "api", File: path})
		Expect(err).NotTo(HaveOccurred())
		Expect(config.Changed(config.Defaults("api"), c)).To(BeEmpty())
	})
})

var _ = Describe("config print", func() {
	It("prints a file that gives the same configuration again", func() {
		set := []string{}
		for key, text := range elsewhere {
			switch key {
			case "secret_key", "secret_key_old", "api.bootstrap_admin_key", "channels.urls": // masked, see below
			default:
				set = append(set, key+"="+text)
			}
		}
		c, err := config.Load(config.Options{Set: set})
		Expect(err).NotTo(HaveOccurred())
		again, err := config.Load(config.Options{File: write("printed.yaml", config.Print(c, nil))})
		Expect(err).NotTo(HaveOccurred())
		Expect(again).To(Equal(c))
	})

	It("keeps awkward texts as they are", func() {
		for _, region := range []string{"yes", "007", "a: b", "#x", "it's", "~", "null", " lead", "1e3", `back\slash`, "ünï"} {
			c := config.Defaults("ingester")
			c.Ingester.Region = region
			again, err := config.Load(config.Options{Process: "ingester", File: write("printed.yaml", config.Print(c, nil))})
			Expect(err).NotTo(HaveOccurred(), region)
			Expect(again.Ingester.Region).To(Equal(region))
		}
	})

	It("notes the source beside a value that was set", func() {
		o := config.Options{Environ: []string{"EA_LOG_LEVEL=warn"}}
		c, err := config.Load(o)
		Expect(err).NotTo(HaveOccurred())
		Expect(config.Print(c, config.Sources(o))).To(ContainSubstring("  level: warn  # EA_LOG_LEVEL\n"))
	})

	It("masks every secret", func() {
		c, err := config.Load(config.Options{Set: []string{
			"mongo.uri=mongodb://user:hush@db/?tlsCertificateKeyFilePassword=hush&w=majority", "amqp.url=amqp://user:hush@mq/v",
			"secret_key=hushhushhushhush", "secret_key_old=hushhushhushhushhush", "api.bootstrap_admin_key=hush-hush-hush-hush",
		}})
		Expect(err).NotTo(HaveOccurred())
		printed := config.Print(c, nil)
		Expect(printed).NotTo(ContainSubstring("hush"))
		Expect(printed).To(ContainSubstring("mongodb://user:********@db/?tlsCertificateKeyFilePassword=********&w=majority"))
		Expect(printed).To(ContainSubstring("amqp://user:********@mq/v"))
	})
})

var _ = DescribeTable("MaskURI", func(uri, shown string) {
	Expect(config.MaskURI(uri)).To(Equal(shown))
},
	Entry(nil, "mongodb://db:27017/", "mongodb://db:27017/"),
	Entry(nil, "mongodb://user@db/", "mongodb://user@db/"),
	Entry(nil, "amqp://user:p@ss:w/rd@mq:5672/v", "amqp://user:********@mq:5672/v"),
	Entry(nil, "mongodb://a:27017,b:27018/?w=majority", "mongodb://a:27017,b:27018/?w=majority"),
	Entry(nil, "mongodb://[::1]:27017/db", "mongodb://[::1]:27017/db"),
	Entry("the @ and the host were forgotten", "mongodb://user:s3cretpw/db", "mongodb://user:********/db"),
	Entry("without a scheme everything could be a password", "user:secret@db", "********"),
	Entry(nil, "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:x&w=majority", "mongodb://h/?authMechanismProperties=********&w=majority"),
)

var _ = Describe("the channels", func() {
	It("are printed without what may be secret in their URLs", func() {
		c, err := config.Load(config.Options{Set: []string{"channels.urls=mail=smtp://someone:hunter2hunter2@mail.example:587/?from=a@example.com,room=slack://token-a/token-b/token-c"}})
		Expect(err).NotTo(HaveOccurred())
		text := config.Print(c, nil)
		Expect(text).To(ContainSubstring("mail: smtp://mail.example:587"))
		Expect(text).To(MatchRegexp(`room: ['"]?slack:\*+`))
		for _, secret := range []string{"hunter2hunter2", "someone", "token-a", "token-b", "token-c"} {
			Expect(text).NotTo(ContainSubstring(secret))
		}
	})
	It("need a default that there is, names that paths can hold, and a scheme", func() {
		for _, set := range []string{"channels.default=mail", "channels.urls=A=log:", "channels.urls=log=log:", "channels.urls=a=no-url"} {
			_, err := config.Load(config.Options{Set: []string{set}})
			Expect(err).To(MatchError(ContainSubstring("channels.")), set)
		}
	})
})
