const policy = aws.iam.getPolicyDocumentOutput({
  statements: [
    {
      actions: ["sts:AssumeRoleWithWebIdentity"],
      principals: [{ type: "Federated", identifiers: [githubProvider.arn] }],
      conditions: [
        { test: "StringEquals", variable: "token.actions.githubusercontent.com:aud", values: ["sts.amazonaws.com"] },
        { test: "StringLike", variable: "token.actions.githubusercontent.com:sub", values: ["repo:octo-org/app:*"] },
      ],
    },
  ],
});
