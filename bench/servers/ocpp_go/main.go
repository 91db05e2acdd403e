// `ocpp-go`, put together as its documentation shows: a central system on its TLS server, both certificates, Basic
// authentication looked at, requests and confirmations validated. What has a default keeps it.
//
// Prints `ready PORT`; the first argument is the folder of certificates. The library listens on all addresses and can't
// be asked for one, so a handshake from any other address than a loopback one is refused.
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	ocpp16 "github.com/lorenzodonini/ocpp-go/ocpp1.6"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/core"
	"github.com/lorenzodonini/ocpp-go/ocpp1.6/types"
	"github.com/lorenzodonini/ocpp-go/ws"
)

const heartbeatSeconds = 300

var transactions atomic.Int64

// handler answers what a charge point says, at once.
type handler struct{}

func (handler) OnAuthorize(string, *core.AuthorizeRequest) (*core.AuthorizeConfirmation, error) {
	return core.NewAuthorizationConfirmation(accepted()), nil
}

func (handler) OnBootNotification(string, *core.BootNotificationRequest) (*core.BootNotificationConfirmation, error) {
	return core.NewBootNotificationConfirmation(now(), heartbeatSeconds, core.RegistrationStatusAccepted), nil
}

func (handler) OnDataTransfer(string, *core.DataTransferRequest) (*core.DataTransferConfirmation, error) {
	return core.NewDataTransferConfirmation(core.DataTransferStatusUnknownVendorId), nil
}

func (handler) OnHeartbeat(string, *core.HeartbeatRequest) (*core.HeartbeatConfirmation, error) {
	return core.NewHeartbeatConfirmation(now()), nil
}

func (handler) OnMeterValues(string, *core.MeterValuesRequest) (*core.MeterValuesConfirmation, error) {
	return core.NewMeterValuesConfirmation(), nil
}

func (handler) OnStatusNotification(
	string, *core.StatusNotificationRequest,
) (*core.StatusNotificationConfirmation, error) {
	return core.NewStatusNotificationConfirmation(), nil
}

func (handler) OnStartTransaction(string, *core.StartTransactionRequest) (*core.StartTransactionConfirmation, error) {
	return core.NewStartTransactionConfirmation(accepted(), int(transactions.Add(1))), nil
}

func (handler) OnStopTransaction(string, *core.StopTransactionRequest) (*core.StopTransactionConfirmation, error) {
	return core.NewStopTransactionConfirmation(), nil
}

func accepted() *types.IdTagInfo { return types.NewIdTagInfo(types.AuthorizationStatusAccepted) }

func now() *types.DateTime { return types.NewDateTime(time.Now()) }

// settings of TLS: both certificates, and loopback addresses only.
func settings(folder string) *tls.Config {
	var certificates []tls.Certificate
	for _, name := range []string{"server-ecdsa", "server-rsa"} {
		path := filepath.Join(folder, name)
		pair, err := tls.LoadX509KeyPair(path+".pem", path+".key")
		if err != nil {
			log.Fatal(err)
		}
		certificates = append(certificates, pair)
	}
	inside := &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			address, known := hello.Conn.RemoteAddr().(*net.TCPAddr)
			if !known || !address.IP.IsLoopback() {
				return nil, errors.New("not from this machine")
			}
			return inside, nil
		},
	}
}

func main() {
	folder := os.Args[1]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	rsa := filepath.Join(folder, "server-rsa")
	server := ws.NewTLSServer(rsa+".pem", rsa+".key", settings(folder))
	server.SetBasicAuthHandler(func(_ string, password string) bool { return password != "" })
	system := ocpp16.NewCentralSystem(nil, server)
	system.SetCoreHandler(handler{})
	go announce(port)
	system.Start(port, "/ocpp/{id}")
}

// announce prints the port once it is listened on.
func announce(port int) {
	for {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = connection.Close()
			fmt.Printf("ready %d\n", port)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
