package store

import "go.mongodb.org/mongo-driver/mongo"

// Collection lets specs look at documents, and damage them.
func (s *Store) Collection(name string) *mongo.Collection { return s.db.Collection(name) }
