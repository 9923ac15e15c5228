package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// UserMaker is where the first admin is created.
type UserMaker interface {
	HasUsers(ctx context.Context) (bool, error)
	CreateUser(ctx context.Context, u user.User) error
}

const bootstrapEmail = "admin@localhost"

// bootstrap creates the first admin with the configured key when there are no
// users. Several api processes may do so at once: one wins.
func bootstrap(ctx context.Context, users UserMaker, plain string, now time.Time, log *zap.Logger) error {
	if plain == "" {
		return nil
	}
	have, err := users.HasUsers(ctx)
	if err != nil || have {
		return err
	}
	key, err := user.KeyFrom(plain, now)
	if err != nil {
		return fmt.Errorf("api.bootstrap_admin_key (EA_API_BOOTSTRAP_ADMIN_KEY): %w", err)
	}
	err = users.CreateUser(ctx, user.User{
		ID: uuid.NewString(), Email: bootstrapEmail, Name: "First admin", Role: user.Admin,
		Preferences: user.Preferences{NotificationChannels: []string{}, EventTypes: []string{}},
		APIKeys:     []user.APIKey{key}, CreatedBy: "api.bootstrap_admin_key", CreatedAt: now, UpdatedAt: now,
	})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	if err == nil {
		log.Info("first admin created", zap.String("email", bootstrapEmail), zap.String("key_prefix", key.Prefix))
	}
	return err
}
