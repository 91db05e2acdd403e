// A charging platform's first steps: make a charger known, watch what happens, start, limit, stop, read the energy.
//
//	charge provision CP1 FAMILY        prints the charger's key, once
//	charge watch events.token out.txt  appends each event once, whatever is killed meanwhile
//	charge charge CP1 FAMILY           a start, a limit of 8 A, a stop; prints the energy
//
// The gateway is at GATEWAY_TARGET, 127.0.0.1:50051 unless set; GATEWAY_CA (a file in PEM) turns on TLS, GATEWAY_TOKEN
// is the caller's token.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	gatewayv1 "gateway.example/charge/gatewayv1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

const (
	readTimeout   = 10 * time.Second
	changeTimeout = 60 * time.Second
	attempts      = 6
)

// [connect]
// bearer is a caller's token, sent with each call, over TLS alone.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// connect sets what the documentation asks of a client: message sizes and keepalive.
func connect() (*grpc.ClientConn, error) {
	target := os.Getenv("GATEWAY_TARGET")
	if target == "" {
		target = "127.0.0.1:50051"
	}
	transport := insecure.NewCredentials()
	if ca := os.Getenv("GATEWAY_CA"); ca != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(ca, ""); err != nil {
			return nil, err
		}
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16 << 20)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	}
	if token := os.Getenv("GATEWAY_TOKEN"); token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(token)))
	}
	return grpc.NewClient(target, options...)
}

// [connect]

// [errors]
// reason is the gateway's reason of an error, and its metadata; empty where something else answered.
func reason(err error) (string, map[string]string) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason(), info.GetMetadata()
		}
	}
	return "", nil
}

// repeat calls until it succeeds, where a repeat can do nothing twice: request is a read, or has a request id.
func repeat[T any](timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		response, err := call(ctx)
		_, metadata := reason(err)
		// With a command_id the gateway has recorded that it was not sent: that id is used up.
		if status.Code(err) != codes.Unavailable || metadata["command_id"] != "" || attempt == attempts {
			return response, err
		}
		time.Sleep(100 * time.Millisecond << attempt)
	}
}

// [errors]

// [provision]
// provision makes a charge point and a tag known, and returns the key that the charger is to be given.
func provision(conn *grpc.ClientConn, chargePoint, idTag string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), changeTimeout)
	defer cancel()
	created, err := gatewayv1.NewChargePointServiceClient(conn).CreateChargePoint(ctx,
		&gatewayv1.CreateChargePointRequest{ChargePoint: &gatewayv1.ChargePoint{Identity: chargePoint}})
	if err != nil {
		return "", err
	}
	tag := &gatewayv1.IdTag{IdTag: idTag, Status: gatewayv1.IdTagStatus_ID_TAG_STATUS_ACCEPTED}
	_, err = gatewayv1.NewIdTagServiceClient(conn).CreateIdTag(ctx, &gatewayv1.CreateIdTagRequest{IdTag: tag})
	if why, _ := reason(err); err != nil && why != "ID_TAG_EXISTS" { // an owner with a second charger
		return "", err
	}
	return string(created.GetGeneratedAuthorizationKey()), nil
}

// [provision]

// [watch]
// save puts a token in the place of the last one: a kill leaves one of the two, never a part.
func save(path string, token []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".token")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err = file.Write(token); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// watch appends the id, charge point and type of each event to a file, over kills of both ends.
func watch(conn *grpc.ClientConn, tokenPath, outPath string) error {
	// At a kill the batch that was being written comes again: its ids are among the last ones here.
	seen := map[string]bool{}
	written, _ := os.ReadFile(outPath)
	for _, line := range strings.Split(string(written), "\n") {
		seen[strings.SplitN(line, " ", 2)[0]] = true
	}
	out, err := os.OpenFile(outPath, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	for {
		request := &gatewayv1.WatchEventsRequest{
			Start: &gatewayv1.WatchEventsRequest_StartAt{StartAt: gatewayv1.WatchStart_WATCH_START_BEGINNING},
		}
		if token, err := os.ReadFile(tokenPath); err == nil {
			request.Start = &gatewayv1.WatchEventsRequest_ResumeToken{ResumeToken: token}
		}
		err := watchOnce(conn, request, tokenPath, out, seen)
		if code := status.Code(err); code != codes.Unavailable && code != codes.Internal {
			return err // BELOW_RETENTION and the like: read the present state first
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func watchOnce(
	conn *grpc.ClientConn, request *gatewayv1.WatchEventsRequest, tokenPath string, out *os.File, seen map[string]bool,
) error {
	stream, err := gatewayv1.NewEventServiceClient(conn).WatchEvents(context.Background(), request)
	if err != nil {
		return err
	}
	for {
		batch, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Unavailable, "the gateway ended the watch")
		}
		if err != nil {
			return err
		}
		for _, event := range batch.GetEvents() {
			if !seen[event.GetEventId()] {
				fmt.Fprintf(out, "%s %s %s\n", event.GetEventId(), event.GetChargePoint(), event.GetType())
			}
		}
		clear(seen)
		for _, event := range batch.GetEvents() {
			seen[event.GetEventId()] = true
		}
		// First what was received, then the token: at least once.
		if err := errors.Join(out.Sync(), save(tokenPath, batch.GetResumeToken())); err != nil {
			return err
		}
	}
}

// [watch]

// [follow]
// follow waits until an operation has ended; an end other than DONE is an error.
func follow(conn *grpc.ClientConn, operation *gatewayv1.Operation, err error) (*gatewayv1.Operation, error) {
	if err != nil {
		return nil, err
	}
	operations := gatewayv1.NewOperationServiceClient(conn)
	for operation.GetEnd() == gatewayv1.OperationEnd_OPERATION_END_UNSPECIFIED {
		request := &gatewayv1.WatchOperationRequest{OperationId: operation.GetOperationId()}
		stream, err := operations.WatchOperation(context.Background(), request)
		for err == nil {
			var response *gatewayv1.WatchOperationResponse
			if response, err = stream.Recv(); err == nil {
				operation = response.GetOperation()
			}
		}
		if !errors.Is(err, io.EOF) {
			if status.Code(err) != codes.Unavailable {
				return nil, err
			}
			time.Sleep(500 * time.Millisecond) // the gateway restarts; the operation is on its disk
		}
	}
	if operation.GetEnd() != gatewayv1.OperationEnd_OPERATION_END_DONE {
		return nil, fmt.Errorf("%s: %s", operation.GetEnd(), operation.GetReason())
	}
	return operation, nil
}

// [follow]

// [charge]
// charge starts, limits and stops charging; it returns the transaction, which has the energy.
func charge(conn *grpc.ClientConn, chargePoint, idTag string) (*gatewayv1.Transaction, error) {
	operations := gatewayv1.NewOperationServiceClient(conn)
	connector := &gatewayv1.ConnectorAddress{Evse: 1, Connector: 1}
	// The same request id again is the same start: it is made once, before the first attempt.
	start := &gatewayv1.StartChargingRequest{
		ChargePoint: chargePoint, RequestId: requestID(), IdTag: idTag, Connector: connector,
	}
	begun, err := repeat(changeTimeout, func(ctx context.Context) (*gatewayv1.StartChargingResponse, error) {
		return operations.StartCharging(ctx, start)
	})
	started, err := follow(conn, begun.GetOperation(), err)
	if err != nil {
		return nil, err
	}

	limit := &gatewayv1.LimitChargingRequest{
		ChargePoint: chargePoint, RequestId: requestID(), Connector: connector,
		Limit: &gatewayv1.RateLimit{Value: 8, Unit: gatewayv1.ChargingRateUnit_CHARGING_RATE_UNIT_AMPERES},
	}
	limited, err := repeat(changeTimeout, func(ctx context.Context) (*gatewayv1.LimitChargingResponse, error) {
		return operations.LimitCharging(ctx, limit)
	})
	if _, err = follow(conn, limited.GetOperation(), err); err != nil {
		return nil, err
	}

	stop := &gatewayv1.StopChargingRequest{
		ChargePoint: chargePoint, RequestId: requestID(), TransactionId: started.GetTransactionId(),
	}
	ended, err := repeat(changeTimeout, func(ctx context.Context) (*gatewayv1.StopChargingResponse, error) {
		return operations.StopCharging(ctx, stop)
	})
	if _, err = follow(conn, ended.GetOperation(), err); err != nil {
		return nil, err
	}

	read, err := repeat(readTimeout, func(ctx context.Context) (*gatewayv1.GetTransactionResponse, error) {
		request := &gatewayv1.GetTransactionRequest{TransactionId: started.GetTransactionId()}
		return gatewayv1.NewTransactionServiceClient(conn).GetTransaction(ctx, request)
	})
	return read.GetTransaction(), err
}

// [charge]

func requestID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		panic(err)
	}
	return hex.EncodeToString(id)
}

func run(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("usage: charge provision|watch|charge FIRST SECOND")
	}
	conn, err := connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	switch arguments[0] {
	case "provision":
		key, err := provision(conn, arguments[1], arguments[2])
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]string{"key": key})
	case "watch":
		return watch(conn, arguments[1], arguments[2])
	case "charge":
		transaction, err := charge(conn, arguments[1], arguments[2])
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]string{
			"transaction_id": transaction.GetTransactionId(),
			"watt_hours":     transaction.GetEnergy().GetWattHours(),
		})
	}
	return fmt.Errorf("there is no command %s", arguments[0])
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		why, metadata := reason(err)
		fmt.Fprintln(os.Stderr, err, why, metadata)
		os.Exit(1)
	}
}
