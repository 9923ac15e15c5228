package metric

// BucketOf lets specs name buckets.
func BucketOf(us int64) int { return bucketOf(us) }
