UPDATE leishu.leases SET holder = holder WHERE route = :route AND token = :token
