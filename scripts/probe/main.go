// Command probe answers what scripts/infra cannot ask in bash: which port is
// free, and does a server answer there in its own protocol. A port that is
// merely open says little: both servers listen before they can serve.
//
//	probe port [WANTED…]                   the first wanted port that is free, else another
//	probe mongo-hello HOST:PORT            exit 0 when a primary answers
//	probe mongo-initiate HOST:PORT SET     the same, after making it a one-node replica set
//	probe mongo-lifetime HOST:PORT SECONDS sets transactionLifetimeLimitSeconds
//	probe amqp HOST:PORT                   exit 0 when guest may open the virtual host /
//	probe http URL                         prints the answer's body; exit 0 when its status is below 400
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

var errUsage = errors.New("usage: probe port [WANTED…] | mongo-hello ADDR | mongo-initiate ADDR SET | mongo-lifetime ADDR SECONDS | amqp ADDR | http URL")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) >= 1 && args[0] == "port":
		port, err := freePort(args[1:])
		if err != nil {
			return err
		}
		fmt.Println(port)
		return nil
	case len(args) == 2 && args[0] == "mongo-hello":
		return mongoHello(args[1])
	case len(args) == 3 && args[0] == "mongo-initiate":
		return mongoInitiate(args[1], args[2])
	case len(args) == 3 && args[0] == "mongo-lifetime":
		seconds, err := strconv.Atoi(args[2])
		if err != nil {
			return fmt.Errorf("seconds: %w", err)
		}
		return mongoLifetime(args[1], seconds)
	case len(args) == 2 && args[0] == "amqp":
		return amqpOpen(args[1], "guest", "guest", "/")
	case len(args) == 2 && args[0] == "http":
		return httpGet(args[1])
	}
	return errUsage
}
