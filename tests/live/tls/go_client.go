// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// Go's net/smtp and crypto/tls. Arguments: see tls_clients.py; HOW is "one" connection for all mails, one for "each", or
// "parallel": one for each, all at once.
package main

import (
	"crypto/tls"
	"fmt"
	"net/smtp"
	"os"
	"strings"
	"sync"
)

var mode, port, auth, how, sender string

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func open() *smtp.Client {
	text, err := os.ReadFile(auth)
	check(err)
	words := strings.Fields(string(text))
	address, config := "127.0.0.1:"+port, &tls.Config{InsecureSkipVerify: true, ServerName: "mail.test"}
	var client *smtp.Client
	if mode == "smtps" {
		connection, err := tls.Dial("tcp", address, config)
		check(err)
		client, err = smtp.NewClient(connection, "127.0.0.1")
		check(err)
	} else {
		client, err = smtp.Dial(address)
		check(err)
		check(client.StartTLS(config))
	}
	check(client.Auth(smtp.PlainAuth("", words[0], words[1], "127.0.0.1")))
	return client
}

func mail(client *smtp.Client, recipient string) {
	check(client.Mail(sender))
	check(client.Rcpt(recipient))
	data, err := client.Data()
	check(err)
	_, err = fmt.Fprintf(data, "From: %s\r\nTo: %s\r\nSubject: to %s\r\n\r\nhello\r\n", sender, recipient, recipient)
	check(err)
	check(data.Close())
}

func main() {
	mode, port, auth, how, sender = os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	recipients := os.Args[6:]
	if how == "one" {
		client := open()
		for _, recipient := range recipients {
			mail(client, recipient)
		}
		check(client.Quit())
		return
	}
	var opened, done sync.WaitGroup
	for _, recipient := range recipients {
		opened.Add(1)
		done.Add(1)
		work := func(recipient string) {
			client := open()
			opened.Done()
			if how == "parallel" {
				opened.Wait()
			}
			mail(client, recipient)
			check(client.Quit())
			done.Done()
		}
		if how == "parallel" {
			go work(recipient)
		} else {
			work(recipient)
		}
	}
	done.Wait()
}
